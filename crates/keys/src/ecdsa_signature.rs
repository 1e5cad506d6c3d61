//! The two forms of an ECDSA signature: X.509 has a DER SEQUENCE of two INTEGERs, JWS has both numbers at full width.
//!
//! Spec: RFC 3279 §2.2.3, RFC 7518 §3.4 (JWT-08).

use crate::MalformedSignature;

/// Reads `SEQUENCE { r, s }` and returns `r‖s`, each of `width` bytes.
pub(crate) fn to_fixed(der: &[u8], width: usize) -> Result<Vec<u8>, MalformedSignature> {
    let (numbers, rest) = value(der, 0x30)?;
    let (r, numbers) = value(numbers, 0x02)?;
    let (s, end) = value(numbers, 0x02)?;
    if !rest.is_empty() || !end.is_empty() {
        return Err(MalformedSignature);
    }

    let mut fixed = vec![0; 2 * width];
    let (first, second) = fixed.split_at_mut(width);
    for (number, half) in [(r, first), (s, second)] {
        let number = magnitude(number)?;
        let at = width.checked_sub(number.len()).ok_or(MalformedSignature)?;
        half[at..].copy_from_slice(number);
    }
    Ok(fixed)
}

/// An ECDSA signature in DER, made from `r‖s` without allocating.
pub(crate) struct DerSignature {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl DerSignature {
    /// P-521: a header of 3, and two INTEGERs with 2 of header, a sign byte and 66 of value.
    const CAPACITY: usize = 3 + 2 * (2 + 1 + 66);

    /// Writes `fixed`, which holds two numbers of `width` bytes.
    pub(crate) fn from_fixed(fixed: &[u8], width: usize) -> Result<Self, MalformedSignature> {
        if fixed.len() != 2 * width || width > 66 {
            return Err(MalformedSignature);
        }
        let (r, s) = fixed.split_at(width);
        let numbers = [significant(r), significant(s)];
        let content: usize = numbers.iter().map(|n| 2 + integer_len(n)).sum();

        let mut der = Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
        };
        der.push(&[0x30]);
        if content > 127 {
            der.push(&[0x81]);
        }
        der.push(&[content as u8]);
        for number in numbers {
            der.push(&[0x02, integer_len(number) as u8]);
            if number.first().is_none_or(|byte| byte & 0x80 != 0) {
                der.push(&[0]);
            }
            der.push(number);
        }
        Ok(der)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Splits off one TLV with a length below 256, as all of an ECDSA signature have, and returns its value and the rest.
fn value(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), MalformedSignature> {
    let (len, rest) = match der {
        [t, 0x81, len @ 0x80..=0xff, rest @ ..] if *t == tag => (usize::from(*len), rest),
        [t, len @ 0..=0x7f, rest @ ..] if *t == tag => (usize::from(*len), rest),
        _ => return Err(MalformedSignature),
    };
    rest.split_at_checked(len).ok_or(MalformedSignature)
}

/// The bytes of a positive, minimally encoded INTEGER, without its sign byte.
fn magnitude(integer: &[u8]) -> Result<&[u8], MalformedSignature> {
    match integer {
        [0, number @ ..] if number.first().is_some_and(|byte| byte & 0x80 != 0) => Ok(number),
        [1..=0x7f, ..] => Ok(integer),
        _ => Err(MalformedSignature),
    }
}

fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Length of the INTEGER whose magnitude `number` is: one more where a sign byte is needed, also for zero.
fn integer_len(number: &[u8]) -> usize {
    number.len() + usize::from(number.first().is_none_or(|byte| byte & 0x80 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        // P-256 first: plain; top bit set in both; short numbers; zero s (not a signature, but it has a form).
        for (width, r, s) in [
            (32, vec![0x11; 32], vec![0x22; 32]),
            (32, vec![0xff; 32], vec![0x80; 32]),
            (32, vec![0x01], vec![0x80]),
            (48, vec![0xfe; 48], vec![0x7f; 47]),
            (
                66,
                [vec![0x01], vec![0xff; 65]].concat(),
                [vec![0x01], vec![0xee; 65]].concat(),
            ),
            (66, vec![0xff; 66], vec![0xff; 66]),
        ] {
            let mut fixed = vec![0; 2 * width];
            fixed[width - r.len()..width].copy_from_slice(&r);
            fixed[2 * width - s.len()..].copy_from_slice(&s);
            let der = DerSignature::from_fixed(&fixed, width).unwrap();
            assert_eq!(
                to_fixed(der.as_bytes(), width),
                Ok(fixed.clone()),
                "{fixed:02x?}"
            );
        }
        let zero = DerSignature::from_fixed(&[0; 64], 32).unwrap();
        assert_eq!(zero.as_bytes(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn refuses_other_widths() {
        // JWT-08 −: 63 or 65 bytes, or the width of another curve.
        for len in [0, 63, 65, 96, 132] {
            assert!(
                DerSignature::from_fixed(&vec![1; len], 32).is_err(),
                "{len}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_strict_der() {
        for (der, why) in [
            (&[][..], "nothing"),
            (&[0x30, 6, 2, 1, 1, 2, 1], "cut"),
            (&[0x30, 6, 2, 1, 1, 2, 1, 1, 0], "rest after the sequence"),
            (&[0x30, 7, 2, 1, 1, 2, 1, 1, 0], "rest in the sequence"),
            (
                &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
                "long form of a short length",
            ),
            (&[0x30, 7, 2, 2, 0, 1, 2, 1, 1], "needless sign byte"),
            (&[0x30, 6, 2, 1, 0x80, 2, 1, 1], "negative"),
            (&[0x30, 6, 2, 1, 0, 2, 1, 1], "zero"),
            (&[0x30, 5, 2, 0, 2, 1, 1], "empty integer"),
            (&[0x31, 6, 2, 1, 1, 2, 1, 1], "a set"),
        ] {
            assert_eq!(to_fixed(der, 32), Err(MalformedSignature), "{why}");
        }
        let long = [&[0x30, 38, 2, 33, 1][..], &[0; 32], &[2, 1, 1]].concat();
        assert_eq!(
            to_fixed(&long, 32),
            Err(MalformedSignature),
            "wider than the field"
        );
    }
}
