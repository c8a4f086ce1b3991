//! Whether a thread computes by the standard.

/// The floating point unit rounds differently or flushes subnormals, so that results would differ
/// from those of other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this thread's floating point unit is not in its standard mode (round to nearest, subnormals \
     kept); another library in this process changed it"
)]
pub struct ArithmeticError;

/// Checks by its results that the current thread computes by the standard.
///
/// # Errors
/// [`ArithmeticError`] if it does not.
pub fn check_arithmetic() -> Result<(), ArithmeticError> {
    use std::hint::black_box;
    let smallest_normal = black_box(f32::MIN_POSITIVE);
    let half = black_box(0.5f32);
    let subnormal_made = smallest_normal * half == f32::from_bits(0x0040_0000);
    let subnormal_read = black_box(f32::from_bits(1)) + black_box(0.0) == f32::from_bits(1);
    let half_ulp = black_box(f32::EPSILON / 2.0);
    let to_nearest_even = black_box(1.0) + half_ulp == 1.0
        && black_box(1.0 + f32::EPSILON) + half_ulp == 1.0 + 2.0 * f32::EPSILON
        && black_box(-1.0) - half_ulp == -1.0;
    if subnormal_made && subnormal_read && to_nearest_even {
        Ok(())
    } else {
        Err(ArithmeticError)
    }
}
