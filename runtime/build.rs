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
        // Compiled as a whole, whatever the profile of the node: every validator runs this
        // code, and weights are measured with it. `WASM_BUILD_TYPE` still decides if set.
        println!("cargo:rerun-if-env-changed=WASM_BUILD_TYPE");
        if std::env::var_os("WASM_BUILD_TYPE").is_none() {
            std::env::set_var("WASM_BUILD_TYPE", "production");
        }
        // The builder writes profiles of its own, which let sums of money wrap.
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults()
            .append_to_rust_flags("-C overflow-checks=yes");
        // The hash lets a hardware wallet check what it signs. It costs a second
        // wasm build, so only production builds pay for it.
        #[cfg(feature = "metadata-hash")]
        let builder = builder.enable_metadata_hash("GEN", 12);
        builder.build();
    }
}
