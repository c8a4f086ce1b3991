//! Compiles the kernels for the CPU.

fn main() {
    for path in ["cpp", "../kernels"] {
        println!("cargo:rerun-if-changed={path}");
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("cpp/shim.cpp")
        .include("cpp")
        .define("GENESISFLOW_SHIM", None)
        // Optimised in every profile: the kernels are run over many shapes.
        .opt_level(2)
        .debug(false)
        // Every operation rounds by itself.
        .flag("-ffp-contract=off")
        .flag("-fno-fast-math")
        .warnings(true)
        .extra_warnings(true)
        .compile("genesisflow_cuda_shim");
}
