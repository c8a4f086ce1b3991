//! Compiles the runtime to WebAssembly.

fn main() {
    #[cfg(feature = "std")]
    {
        // The wasm build looks for the workspace's Cargo.lock above the target folder.
        // That can lie elsewhere, and then the runtime would get unpinned versions.
        std::env::set_var(
            "WASM_BUILD_WORKSPACE_HINT",
            concat!(env!("CARGO_MANIFEST_DIR"), "/.."),
        );
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
        // The hash lets a hardware wallet check what it signs. It costs a second
        // wasm build, so only production builds pay for it.
        #[cfg(feature = "metadata-hash")]
        let builder = builder.enable_metadata_hash("GEN", 12);
        builder.build();
    }
}
