//! Natural numbers of any length, as far as reading and writing decimal fractions needs them.

use std::cmp::Ordering;

/// A natural number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Big {
    /// The lowest digits first, in base 2^32, without leading zeros.
    words: Vec<u32>,
}

const WORD_BITS: usize = 32;
/// The highest power of ten in a word, and how many digits that is.
const TEN_POWER: (u32, usize) = (1_000_000_000, 9);

impl Big {
    pub(super) fn is_zero(&self) -> bool {
        self.words.is_empty()
    }

    /// How many bits it has from the first that is set.
    pub(super) fn bits(&self) -> usize {
        let top = self.words.last().map_or(0, |word| WORD_BITS - word.leading_zeros() as usize);
        top + self.words.len().saturating_sub(1) * WORD_BITS
    }

    /// Multiplies by a number, and adds another.
    pub(super) fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for word in &mut self.words {
            carry += u64::from(*word) * u64::from(factor);
            *word = low(carry);
            carry >>= WORD_BITS;
        }
        if carry > 0 {
            self.words.push(low(carry));
        }
    }

    pub(super) fn shifted(&self, bits: usize) -> Self {
        if self.is_zero() {
            return Self::default();
        }
        let mut words = vec![0; bits / WORD_BITS];
        let mut carry = 0;
        for word in &self.words {
            let wide = u64::from(*word) << (bits % WORD_BITS) | carry;
            words.push(low(wide));
            carry = wide >> WORD_BITS;
        }
        words.push(low(carry));
        Self::trimmed(words)
    }

    /// Divides by a number, where the result has 128 bits at the most. Tells whether there was a
    /// remainder.
    pub(super) fn divided(mut self, divisor: &Self) -> (u128, bool) {
        let mut quotient = 0;
        for bit in (0..=self.bits().saturating_sub(divisor.bits())).rev() {
            let part = divisor.shifted(bit);
            if self.compare(&part) != Ordering::Less {
                self.subtract(&part);
                quotient |= 1_u128 << bit;
            }
        }
        (quotient, !self.is_zero())
    }

    pub(super) fn decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            groups.push(self.divide_by(TEN_POWER.0));
        }
        let Some(first) = groups.pop() else { return "0".to_owned() };
        let rest = groups.iter().rev().map(|group| format!("{group:0width$}", width = TEN_POWER.1));
        std::iter::once(first.to_string()).chain(rest).collect()
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.words.len().cmp(&other.words.len());
        by_length.then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }

    /// Subtracts what is not more.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, word) in self.words.iter_mut().enumerate() {
            let part = other.words.get(index).copied().unwrap_or(0);
            let (less, first) = word.overflowing_sub(part);
            let (less, second) = less.overflowing_sub(borrow.into());
            *word = less;
            borrow = first || second;
        }
        *self = Self::trimmed(std::mem::take(&mut self.words));
    }

    /// Divides in place, and returns the remainder.
    fn divide_by(&mut self, divisor: u32) -> u32 {
        let mut rest = 0;
        for word in self.words.iter_mut().rev() {
            let wide = rest << WORD_BITS | u64::from(*word);
            *word = low(wide / u64::from(divisor));
            rest = wide % u64::from(divisor);
        }
        *self = Self::trimmed(std::mem::take(&mut self.words));
        low(rest)
    }

    fn trimmed(mut words: Vec<u32>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }
}

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        Self::trimmed(vec![low(number), low(number >> WORD_BITS)])
    }
}

fn low(wide: u64) -> u32 {
    (wide & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(decimal: &str) -> Big {
        let mut big = Big::default();
        decimal.bytes().for_each(|digit| big.multiply_add(10, u32::from(digit - b'0')));
        big
    }

    #[test]
    fn decimals_are_written_as_they_were_read() {
        let long = "123456789012345678901234567890000000000000000000000000000000001";
        for text in ["0", "1", "999999999", "1000000000", "18446744073709551616", long] {
            assert_eq!(big(text).decimal(), text);
        }
    }

    #[test]
    fn quotients_and_shifts() {
        let shifted = big("340282366920938463463374607431768211456");
        assert_eq!(Big::from(1).shifted(128), shifted);
        assert_eq!(shifted.bits(), 129);
        assert_eq!(shifted.clone().divided(&Big::from(3)), (u128::MAX / 3, true));
        assert_eq!(big("1000").divided(&Big::from(8)), (125, false));
        assert_eq!(big("7").divided(&Big::from(8)), (0, true));
    }
}
