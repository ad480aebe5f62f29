use std::hash::Hasher;

/// Writes texts to a hasher without regard to ASCII case. The number and the lengths of the writes depend on the lengths of the
/// texts alone, since two short writes may give another hash than a longer one.
pub(super) struct Folded {
    words: [[u8; WORD]; WORDS],
    filled: usize,
}

const WORD: usize = 8;
/// Most origins fit in these: they are one write.
const WORDS: usize = 8;

impl Folded {
    #[inline]
    pub(super) fn new(first: u64) -> Self {
        let mut words = [[0; WORD]; WORDS];
        words[0] = first.to_le_bytes();
        Self { words, filled: 1 }
    }

    /// Adds a text in whole words. It does not mark where the text ends.
    #[inline]
    pub(super) fn add(&mut self, text: &[u8], state: &mut impl Hasher) {
        let (words, rest) = text.as_chunks::<WORD>();
        for word in words {
            self.push(fold(*word), state);
        }
        match text.last_chunk::<WORD>() {
            _ if rest.is_empty() => {}
            // Some bytes come twice: that costs less than to copy the rest byte by byte.
            Some(last) => self.push(fold(*last), state),
            None => {
                let mut word = [0; WORD];
                word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                self.push(fold(word), state);
            }
        }
    }

    /// Adds bytes as they are.
    pub(super) fn add_exact(&mut self, bytes: [u8; 2 * WORD], state: &mut impl Hasher) {
        for word in bytes.as_chunks::<WORD>().0 {
            self.push(*word, state);
        }
    }

    #[inline]
    fn push(&mut self, word: [u8; WORD], state: &mut impl Hasher) {
        if self.filled == WORDS {
            self.end(state);
        }
        self.words[self.filled] = word;
        self.filled += 1;
    }

    #[inline]
    pub(super) fn end(&mut self, state: &mut impl Hasher) {
        state.write(self.words[..self.filled].as_flattened());
        self.filled = 0;
    }
}

/// Sets the bit that makes a capital letter a small one. No two other characters of a host name become the same.
fn fold(word: [u8; WORD]) -> [u8; WORD] {
    (u64::from_ne_bytes(word) | u64::from_ne_bytes([b' '; WORD])).to_ne_bytes()
}

/// Whether one of the bytes is in a text; eight of it are looked at together.
#[inline]
pub(super) fn has_any(text: &[u8], one: u8, other: u8) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; WORD]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; WORD]);
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH != 0;
    let has = |word: &[u8; WORD]| {
        let word = u64::from_ne_bytes(*word);
        has_zero(word ^ (ONES * u64::from(one))) || has_zero(word ^ (ONES * u64::from(other)))
    };
    match text.last_chunk::<WORD>() {
        Some(last) => has(last) || text.as_chunks::<WORD>().0.iter().any(has),
        None => text.iter().any(|byte| *byte == one || *byte == other),
    }
}
