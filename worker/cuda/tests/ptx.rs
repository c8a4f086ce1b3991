//! The committed PTX: made from these sources, with the shim's kernels, and with no operation that
//! rounds in a way docs/canonical.md does not name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use genesisflow_cuda::PTX;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn blake2b(bytes: &[u8]) -> String {
    let hash = blake2b_simd::Params::new().hash_length(32).hash(bytes);
    hash.to_hex().to_string()
}

#[test]
fn it_was_made_from_these_sources() {
    let files: BTreeSet<PathBuf> = fs::read_dir(folder("kernels"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let mut sources = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        sources.extend_from_slice(name.as_bytes());
        sources.push(b'\n');
        sources.extend(fs::read(&file).unwrap());
    }
    for (bytes, name) in [
        (sources.as_slice(), "sources.blake2b"),
        (PTX.as_bytes(), "genesisflow.blake2b"),
    ] {
        let recorded = fs::read_to_string(folder("ptx").join(name)).unwrap();
        assert_eq!(
            blake2b(bytes),
            recorded.trim(),
            "ptx/{name}: run scripts/cuda-ptx.sh after a change of kernels/"
        );
    }
}

/// An instruction without its guard, split at dots: `fma.rn.f32` as `["fma", "rn", "f32"]`.
fn instructions(ptx: &str) -> impl Iterator<Item = Vec<&str>> {
    ptx.lines().filter_map(|line| {
        let line = line.split("//").next().unwrap_or("").trim();
        let line = line.trim_start_matches('{').trim();
        let line = match line.strip_prefix('@') {
            Some(guarded) => guarded.split_once(char::is_whitespace)?.1.trim(),
            None => line,
        };
        let is_label = line.starts_with('$') || line.ends_with(':');
        let word = line.split([' ', '\t', ';']).next()?;
        let is_code = word.starts_with(|c: char| c.is_ascii_lowercase());
        (is_code && !is_label).then(|| word.split('.').collect())
    })
}

/// Instructions on floating point numbers that may occur, all else than moves of bits. Each
/// rounds once to nearest even (`rn`), or does not round.
const ALLOWED: [&str; 16] = [
    // `.rn` is never contracted, and without `.ftz` subnormals are kept.
    "add.rn.f32",
    "sub.rn.f32",
    "mul.rn.f32",
    "fma.rn.f32",
    "div.rn.f32",
    "sqrt.rn.f32",
    // Exact.
    "neg.f32",
    "setp.lt.f32",
    "setp.le.f32",
    "setp.gt.f32",
    "setp.ge.f32",
    "setp.eq.f32",
    "setp.neu.f32",
    // Widening is exact, narrowing to nearest even; integers are below 2^24.
    "cvt.f32.f16",
    "cvt.rn.f16.f32",
    "cvt.rn.f32.s32",
];

/// Instructions that move or choose numbers, whatever they are.
const MOVES: [&str; 7] = ["mov", "ld", "st", "selp", "shfl", "cvta", "prefetch"];

/// Types of floating point numbers.
fn is_float(part: &str) -> bool {
    let kinds = ["f16", "f32", "f64", "bf16", "tf32", "e4m3", "e5m2"];
    kinds.iter().any(|kind| part.starts_with(kind))
}

fn forbidden(ptx: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for parts in instructions(ptx) {
        let whole = parts.join(".");
        let inexact = ["approx", "full", "ftz", "sat", "rz", "rm", "rp", "rna"];
        let rounds_otherwise = parts[1..].iter().any(|part| inexact.contains(part));
        let on_floats = parts[1..].iter().any(|part| is_float(part));
        let is_move = MOVES.contains(&parts[0]);
        if rounds_otherwise || (on_floats && !is_move && !ALLOWED.contains(&whole.as_str())) {
            *found.entry(whole).or_default() += 1;
        }
    }
    found
}

#[test]
fn nothing_rounds_otherwise() {
    assert_eq!(forbidden(PTX), BTreeMap::new());
    let used: BTreeSet<String> = instructions(PTX).map(|parts| parts.join(".")).collect();
    // The reader reads: what must be there is found.
    for instruction in [
        "fma.rn.f32",
        "div.rn.f32",
        "sqrt.rn.f32",
        "cvt.rn.f16.f32",
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32",
        "cp.async.cg.shared.global",
    ] {
        assert!(used.contains(instruction), "no {instruction}");
    }
    // No subroutine, whose arithmetic could hide a library's.
    assert!(!used.contains("call") && !used.contains("call.uni"));
    assert!(PTX.contains(".target sm_80\n"), "compute capability 8.0");
    assert!(PTX.contains(".version 9.0\n"), "CUDA 13.0");
}

#[test]
fn other_roundings_are_found() {
    for line in [
        "\tadd.f32 %f1, %f2, %f3;",
        "\t@%p1 mul.ftz.f32 %f1, %f2, %f3;",
        "\tdiv.approx.f32 %f1, %f2, %f3;",
        "\tdiv.full.f32 %f1, %f2, %f3;",
        "\tmad.rn.f32 %f1, %f2, %f3, %f4;",
        "\tfma.rz.f32 %f1, %f2, %f3, %f4;",
        "\tex2.approx.ftz.f32 %f1, %f2;",
        "\trcp.rn.f32 %f1, %f2;",
        "\tfma.rn.f16 %rs1, %rs2, %rs3, %rs4;",
        "\tadd.rn.f64 %fd1, %fd2, %fd3;",
        "\t{cvt.rz.f16.f32 %rs1, %f1;}",
        "\tmin.f32 %f1, %f2, %f3;",
        "\tred.global.add.f32 [%rd1], %f1;",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f2};",
    ] {
        assert_eq!(forbidden(line).len(), 1, "{line}");
    }
    for line in [
        "\tmov.f32 %f1, 0f3F800000;",
        "$L__BB0_3:",
        "\tadd.s32 %r1, %r2, %r3;",
    ] {
        assert!(forbidden(line).is_empty(), "{line}");
    }
}

#[test]
fn the_shim_has_the_same_kernels() {
    let shim = fs::read_to_string(folder("shim/cpp/shim.cpp")).unwrap();
    let names = |text: &str, before: &str, behind: char| -> BTreeSet<String> {
        text.split(before)
            .skip(1)
            .filter_map(|rest| rest.split(behind).next())
            .filter(|name| name.starts_with("gf_"))
            .map(str::to_owned)
            .collect()
    };
    let compiled = names(PTX, ".visible .entry ", '(');
    assert_eq!(compiled, names(&shim, "ENTRY(", ')'));
    assert!(compiled.len() > 20, "{compiled:?}");
}
