//! What is refused says why, and what to do instead.

use std::fs;

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    decoder::Decoder,
    loading::{GgufFile, WeightFiles},
    threads::Threads,
    LoadError,
};
use safetensors::tensor::{Dtype, TensorView};

use crate::{
    gguf::{Entry, File},
    measured::turn,
};

fn refusal(file: &File) -> String {
    match load(file) {
        Ok(()) => panic!("it loads"),
        Err(error) => error.to_string(),
    }
}

fn load(file: &File) -> Result<(), LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    fs::write(&path, file.bytes()).unwrap();
    let mut file = GgufFile::open(&path)?;
    let config = file.config()?;
    let threads = Threads::new(1)?;
    Decoder::new(config, &mut file, Kernel::detect(), threads)?;
    Ok(())
}

fn with(change: impl FnOnce(&mut File)) -> File {
    let mut file = File::llama(40);
    change(&mut file);
    file
}

#[test]
fn the_file_that_is_changed_loads() {
    let _turn = turn();
    assert!(load(&File::llama(40)).is_ok());
}

#[test]
fn every_other_type_in_gguf_is_refused_by_name_with_the_way_out() {
    let _turn = turn();
    for (kind, name) in [
        (3, "Q4_1"),
        (6, "Q5_0"),
        (7, "Q5_1"),
        (9, "Q8_1"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (12, "Q4_K"),
        (13, "Q5_K"),
        (14, "Q6_K"),
        (16, "IQ2_XXS"),
        (23, "IQ4_XS"),
        (26, "I32"),
        (28, "F64"),
        (39, "MXFP4"),
        (77, "ggml type 77"),
    ] {
        let refusal = refusal(&with(|f| f.tensor("blk.1.ffn_up.weight").kind = kind));
        for part in ["blk.1.ffn_up.weight", name, "llama-quantize", "Q8_0"] {
            assert!(refusal.contains(part), "{part}: {refusal}");
        }
    }
}

#[test]
fn what_gguf_claims_and_does_not_hold_is_refused_with_the_place() {
    let _turn = turn();
    type Change = fn(&mut File);
    let cases: &[(Change, &str)] = &[
        (|f| f.version = 1, "version is 1"),
        (|f| f.version = 3u32.swap_bytes(), "little-endian"),
        (|f| f.more_tensors = u64::MAX / 2, "tensors, more than"),
        (|f| f.more_entries = 1 << 40, "metadata keys, more than"),
        (|f| f.entries.push(f.entries[3].clone()), "twice"),
        (|f| f.tensors.push(f.tensors[3].clone()), "twice"),
        (
            |f| f.entries.push(Entry::u32("general.alignment", 0)),
            "alignment is 0",
        ),
        (
            |f| f.entries.push(Entry::u32("llama.expert_count", 8)),
            "mixtures of experts",
        ),
        (
            |f| f.entries.push(Entry::u32("split.count", 2)),
            "llama-gguf-split --merge",
        ),
        (
            |f| f.entries.push(Entry::f32("llama.new_trick", 0.5)),
            "llama.new_trick",
        ),
        (
            |f| {
                f.entries
                    .push(Entry::text("llama.rope.scaling.type", "yarn"))
            },
            "yarn",
        ),
        (|f| drop(f.entries.remove(7)), "llama.rope.freq_base"),
        (
            |f| f.entries[0] = Entry::text("general.architecture", "mamba"),
            "mamba",
        ),
        (
            |f| f.tensor("output.weight").dimensions[1] = 1 << 50,
            "output.weight",
        ),
        (
            |f| f.tensor("blk.0.attn_k.weight").dimensions[1] = 8,
            "shape [8, 32]",
        ),
        (
            |f| f.tensor("blk.0.attn_norm.weight").dimensions.push(1),
            "shape",
        ),
        (
            |f| drop(f.tensors.remove(5)),
            "no tensor `blk.0.attn_q.weight`",
        ),
        (|f| f.tensor("blk.0.ffn_down.weight").data[2] = 0x80, "-128"),
        (
            |f| f.tensor("blk.0.ffn_down.weight").data[..2].copy_from_slice(&[0, 0x7c]),
            "infinite or not a number",
        ),
        (
            |f| {
                let nan = f32::NAN.to_le_bytes();
                f.tensor("output_norm.weight").data[..4].copy_from_slice(&nan);
            },
            "NaN",
        ),
        (
            |f| f.tensor("output_norm.weight").name = b"\xff".to_vec(),
            "UTF-8",
        ),
    ];
    for (change, says) in cases {
        let refusal = refusal(&with(change));
        assert!(refusal.contains(says), "{says}: {refusal}");
    }
}

#[test]
fn other_types_in_safetensors_are_refused_with_the_way_out() {
    let _turn = turn();
    let data = [0u8; 64];
    for dtype in [
        Dtype::I8,
        Dtype::F64,
        Dtype::I64,
        Dtype::BOOL,
        Dtype::F8_E4M3,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let bytes = dtype.bitsize() / 8;
        let view = TensorView::new(dtype, vec![4, 2], &data[..8 * bytes]).unwrap();
        let name = "model.embed_tokens.weight";
        let file = safetensors::serialize([(name, view)], None).unwrap();
        fs::write(dir.path().join("model.safetensors"), file).unwrap();
        let config = r#"{"model_type": "llama", "hidden_act": "silu", "hidden_size": 2,
            "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1,
            "num_key_value_heads": 1, "vocab_size": 4, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": true}"#;
        fs::write(dir.path().join("config.json"), config).unwrap();
        let found = WeightFiles::find(dir.path()).unwrap();
        let (config, mut weights) = found.open(dir.path()).unwrap();
        let threads = Threads::new(1).unwrap();
        let error = Decoder::new(config, weights.as_mut(), Kernel::detect(), threads);
        let refusal = error.unwrap_err().to_string();
        assert!(refusal.contains(name), "{refusal}");
        assert!(
            refusal.contains(&format!("{dtype:?}")) && refusal.contains("convert it to one"),
            "{refusal}"
        );
    }
}
