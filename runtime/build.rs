//! Compiles the runtime to WebAssembly.

fn main() {
    #[cfg(feature = "std")]
    {
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
        // The hash lets a hardware wallet check what it signs. It costs a second
        // wasm build, so only production builds pay for it.
        #[cfg(feature = "metadata-hash")]
        let builder = builder.enable_metadata_hash("GEN", 12);
        builder.build();
    }
}
