//! The operators compiled for the CPU at hand: AVX-512 VNNI, AVX2, NEON or plain scalar code.
//!
//! All give the bits of the scalar reference. Element-wise operators are one source, the
//! reference's own, compiled once per instruction set; only the matrix kernels are written by hand.
//!
//! ```
//! use genesisflow_canonical::kernels::Kernel;
//!
//! let kernel = Kernel::detect();
//! let mut out = [0.0; 2];
//! kernel.rms_norm(&[3.0, -3.0], &[1.0, 2.0], 1e-5, &mut out);
//! ```

mod attention;
mod lanes;
mod linear;
#[cfg(target_arch = "x86_64")]
mod linear_avx2;
#[cfg(target_arch = "x86_64")]
mod linear_avx512;
#[cfg(target_arch = "aarch64")]
mod linear_neon;
mod linear_scalar;
mod matrix;
mod output;
mod rows;
mod weight_memory;

pub use attention::{AttentionScratch, AttentionTask, HeadCache, KV_BLOCK};
pub use matrix::{PackedMatrix, StoredRowError, WeightFormat, TILE};
pub use output::OutputColumns;
pub use rows::{PanelMut, QuantizedRows};
pub use weight_memory::ask_for_huge_pages;

use crate::{
    activation,
    fused::Portable,
    quantize_row, rms_norm, rope,
    sampler::{self, Candidate},
    ActivationOverflow, SamplerSettings,
};

/// An instruction set this machine has, and the operators compiled for it.
///
/// A value exists only where its instructions do: [`Kernel::detect`] and [`Kernel::named`] ask the
/// CPU, and there is no other way to get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(InstructionSet);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstructionSet {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
}

impl InstructionSet {
    /// Every instruction set this build knows, fastest first.
    const ALL: &'static [Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "aarch64")]
        Self::NeonDotprod,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        Self::Scalar,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => "neon-dotprod",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            // Part of every 64-bit ARM.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => std::arch::is_aarch64_feature_detected!("dotprod"),
        }
    }
}

/// A kernel was asked for by a name that this machine or build does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKernel(String);

impl std::fmt::Display for UnknownKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let available: Vec<_> = Kernel::available().map(Kernel::name).collect();
        write!(
            f,
            "no kernel `{}` on this machine; available: {}",
            self.0,
            available.join(", ")
        )
    }
}

impl std::error::Error for UnknownKernel {}

impl Kernel {
    /// The scalar reference. Slow: its fused multiply-add is done in software.
    pub const SCALAR: Self = Self(InstructionSet::Scalar);

    /// The fastest kernel of this machine.
    pub fn detect() -> Self {
        Self::available().next().unwrap_or(Self::SCALAR)
    }

    /// The kernel with this name: `scalar`, `avx2`, `avx512`, `neon` or `neon-dotprod`.
    ///
    /// # Errors
    /// [`UnknownKernel`] if this machine or build does not have it.
    pub fn named(name: &str) -> Result<Self, UnknownKernel> {
        Self::available()
            .find(|kernel| kernel.name() == name)
            .ok_or_else(|| UnknownKernel(name.into()))
    }

    /// All kernels of this machine, fastest first; the scalar reference is the last.
    pub fn available() -> impl Iterator<Item = Self> {
        InstructionSet::ALL
            .iter()
            .filter(|set| set.is_available())
            .map(|set| Self(*set))
    }

    /// Its name, as [`Kernel::named`] takes it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

/// Compiles one generic operator for every instruction set and picks among them.
macro_rules! compiled_for_each {
    ($(#[$doc:meta])* $vis:vis $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty, $generic:path) => {
        impl Kernel {
            $(#[$doc])*
            #[inline]
            $vis fn $name(self, $($arg: $ty),*) -> $ret {
                use $generic as generic;
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($arg: $ty),*) -> $ret {
                    generic::<crate::fused::Native>($($arg),*)
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
                fn avx512($($arg: $ty),*) -> $ret {
                    generic::<crate::fused::Native>($($arg),*)
                }
                match self.0 {
                    InstructionSet::Scalar => generic::<Portable>($($arg),*),
                    // SAFETY: this variant exists only where AVX2, FMA and F16C were detected.
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: this variant exists only where all these features were detected.
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => unsafe { avx512($($arg),*) },
                    #[cfg(target_arch = "aarch64")]
                    InstructionSet::Neon | InstructionSet::NeonDotprod => generic::<crate::fused::Native>($($arg),*),
                }
            }
        }
    };
}

compiled_for_each! {
    /// Operator 1, see [`quantize_row()`](crate::quantize_row()).
    ///
    /// # Errors
    /// [`ActivationOverflow`] if an element reaches 2^40.
    pub quantize_row(x: &[f32], q: &mut [i8], d: &mut [f32]) -> Result<(), ActivationOverflow>,
    quantize_row_for
}

compiled_for_each! {
    /// Operator 4, see [`rms_norm::rms_norm`].
    pub rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> (),
    rms_norm::rms_norm
}

compiled_for_each! {
    /// Operator 4 in place, see [`rms_norm::rms_norm_in_place`].
    pub rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) -> (),
    rms_norm::rms_norm_in_place
}

compiled_for_each! {
    /// Operator 5, see [`rope::rotate`].
    pub rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) -> (),
    rope::rotate
}

compiled_for_each! {
    /// Operator 7, see [`activation::swiglu`].
    pub swiglu(gate: &mut [f32], up: &[f32]) -> (),
    activation::swiglu
}

compiled_for_each! {
    /// Operator 7, see [`activation::gelu_tanh_gated`].
    pub gelu_tanh_gated(gate: &mut [f32], up: &[f32]) -> (),
    activation::gelu_tanh_gated
}

compiled_for_each! {
    /// The sampler, see [`sampler::sample`].
    pub sample(logits: &[f32], settings: SamplerSettings, seed: &[u8; 32], position: u64) -> u32,
    sampler::sample
}

compiled_for_each! {
    /// The sampler's choice among the largest logits, see [`sampler::choose`].
    pub choose(best: &[Candidate], settings: SamplerSettings, seed: &[u8; 32], position: u64) -> u32,
    sampler::choose
}

impl Kernel {
    /// Operator 1 into a panel of this kernel's layout.
    pub(super) fn quantize_into_panel(
        self,
        x: &[f32],
        words: &mut [i32],
        lane: (usize, usize),
    ) -> Result<(), ActivationOverflow> {
        if rows::has_pairs(self) {
            self.quantize_with_pairs(x, words, lane)
        } else {
            self.quantize_without_pairs(x, words, lane)
        }
    }
}

compiled_for_each! {
    /// See [`rows::quantize_into_panel`].
    quantize_with_pairs(x: &[f32], words: &mut [i32], lane: (usize, usize)) -> Result<(), ActivationOverflow>,
    quantize_with_pairs_for
}

compiled_for_each! {
    /// See [`rows::quantize_into_panel`].
    quantize_without_pairs(x: &[f32], words: &mut [i32], lane: (usize, usize)) -> Result<(), ActivationOverflow>,
    quantize_without_pairs_for
}

// Operator 1 needs no fma; these give it the shape the macro wants.

#[allow(clippy::extra_unused_type_parameters)]
#[inline(always)]
fn quantize_row_for<F>(x: &[f32], q: &mut [i8], d: &mut [f32]) -> Result<(), ActivationOverflow> {
    quantize_row::quantize_row(x, q, d)
}

#[allow(clippy::extra_unused_type_parameters)]
#[inline(always)]
fn quantize_with_pairs_for<F>(
    x: &[f32],
    words: &mut [i32],
    lane: (usize, usize),
) -> Result<(), ActivationOverflow> {
    rows::quantize_into_panel::<true>(x, words, lane)
}

#[allow(clippy::extra_unused_type_parameters)]
#[inline(always)]
fn quantize_without_pairs_for<F>(
    x: &[f32],
    words: &mut [i32],
    lane: (usize, usize),
) -> Result<(), ActivationOverflow> {
    rows::quantize_into_panel::<false>(x, words, lane)
}
