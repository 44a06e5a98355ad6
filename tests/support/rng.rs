//! A small deterministic generator of random numbers.

/// SplitMix64 (Steele, Lea and Flood, 2014): 64 bits of state, every seed is good.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    pub fn new(seed: u64) -> Self {
        SplitMix64 { state: seed }
    }

    /// A generator whose seed is printed, so that a failure can be repeated: the one given by
    /// the environment variable `SYNA_SEED` (decimal, or hexadecimal after `0x`) or `default`.
    pub fn announced(test: &str, default: u64) -> Self {
        let given = std::env::var("SYNA_SEED").ok();
        let seed = given.map_or(default, |text| {
            let parsed = match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => text.parse(),
            };
            parsed.expect("SYNA_SEED is a number")
        });
        eprintln!("{test}: SYNA_SEED={seed:#x}");
        SplitMix64::new(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number in `[0, bound)`. The bias of the remainder is of no concern to tests.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is no number below 0");
        (self.next_u64() % bound as u64) as usize
    }

    /// Whether something of probability `part / whole` happens.
    pub fn chance(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole) < part
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
