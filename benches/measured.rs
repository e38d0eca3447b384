//! The part of a program whose instructions `cargo xtask instructions` counts.

/// Runs a part once, which makes all allocations, and then the counted rounds.
pub(crate) fn measure(rounds: usize, mut part: impl FnMut()) {
    part();
    measured_part(rounds, &mut part);
}

/// Runs the counted rounds. valgrind finds this function by its name.
#[inline(never)]
fn measured_part(rounds: usize, part: &mut dyn FnMut()) {
    for _ in 0..rounds {
        part();
    }
}
