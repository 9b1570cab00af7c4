//! What the arithmetic runs on. None of it changes results, except that bits are the same per SIMD level only.

use super::value::{OneOf, Whole};
use super::{Section, setting};
use anmok_engine::native::Level;

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Auto,
    Cpu,
    Mps,
    Cuda,
    Vulkan,
}

/// The instruction set of the CPU engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimdChoice {
    Auto,
    Avx512,
    Avx2,
    Neon,
    Portable,
}

pub const SECTION: Section = Section {
    title: "Machine",
    of_recipe: false,
    settings: &[
        setting(
            "device",
            "Where the network runs; auto takes the best that is there",
            &OneOf {
                field: |s| &mut s.device,
                names: &[
                    ("auto", Device::Auto),
                    ("cpu", Device::Cpu),
                    ("mps", Device::Mps),
                    ("cuda", Device::Cuda),
                    ("vulkan", Device::Vulkan),
                ],
            },
        ),
        setting("threads", "Worker threads; 0 is one per core. Results do not depend on it", &Whole { field: |s| &mut s.threads }),
        setting(
            "simd",
            "Instruction set of the CPU engine; auto takes the best that is there",
            &OneOf {
                field: |s| &mut s.simd,
                names: &[
                    ("auto", SimdChoice::Auto),
                    ("avx512", SimdChoice::Avx512),
                    ("avx2", SimdChoice::Avx2),
                    ("neon", SimdChoice::Neon),
                    ("portable", SimdChoice::Portable),
                ],
            },
        )
        .with_variables(&["ANMOK_SIMD"]),
    ],
};

impl super::Settings {
    /// The SIMD level that the settings ask for, if this machine has it.
    pub fn simd_level(&self) -> Result<Level, String> {
        let available = Level::available();
        let wanted = match self.simd {
            SimdChoice::Auto => return Ok(Level::best()),
            SimdChoice::Avx512 => Level::Avx512,
            SimdChoice::Avx2 => Level::Avx2,
            SimdChoice::Neon => Level::Neon,
            SimdChoice::Portable => Level::Portable,
        };
        let names = || available.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ");
        if available.contains(&wanted) {
            Ok(wanted)
        } else {
            Err(format!("this machine has no {}: use auto or one of {}", wanted.name(), names()))
        }
    }
}
