//! Pallets whose weights are measured on this runtime.

frame_benchmarking::define_benchmarks!(
    [pallet_balances, crate::Balances]
    [pallet_inference, crate::Inference]
);
