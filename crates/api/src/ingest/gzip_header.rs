//! The header of a gzip member (RFC 1952 §2.3), a byte at a time. Nothing in it is kept.

const FIXED_LEN_BYTES: usize = 10;
const DEFLATE: u8 = 8;

const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Magic,
    Method,
    Flags,
}

impl HeaderFault {
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Magic => "this is no gzip member",
            Self::Method => "the compression is not deflate",
            Self::Flags => "a reserved flag is set",
        }
    }
}

/// How much of a header was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    flags: u8,
    field: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Fixed(usize),
    ExtraLen {
        low: Option<u8>,
    },
    Extra {
        left: u16,
    },
    /// Up to a zero byte.
    Name,
    /// Up to a zero byte.
    Comment,
    HeaderCrc {
        left: u8,
    },
    End,
}

impl Default for Field {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Header {
    /// Whether no byte of it was read.
    pub(super) fn is_untouched(&self) -> bool {
        self.field == Field::Fixed(0)
    }

    /// Reads a byte; true if it is the header's last.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, HeaderFault> {
        self.field = match self.field {
            Field::Fixed(idx) => {
                match (idx, byte) {
                    (0, 0x1F) | (1, 0x8B) | (2, DEFLATE) | (4.., _) => {}
                    (0 | 1, _) => return Err(HeaderFault::Magic),
                    (2, _) => return Err(HeaderFault::Method),
                    (_, flags) if flags & RESERVED != 0 => return Err(HeaderFault::Flags),
                    (_, flags) => self.flags = flags,
                }
                if idx + 1 < FIXED_LEN_BYTES { Field::Fixed(idx + 1) } else { self.after_fixed() }
            }
            Field::ExtraLen { low: None } => Field::ExtraLen { low: Some(byte) },
            Field::ExtraLen { low: Some(low) } => match u16::from_le_bytes([low, byte]) {
                0 => self.after_extra(),
                left => Field::Extra { left },
            },
            Field::Extra { left: ..=1 } => self.after_extra(),
            Field::Extra { left } => Field::Extra { left: left - 1 },
            Field::Name if byte == 0 => self.after_name(),
            Field::Comment if byte == 0 => self.after_comment(),
            Field::HeaderCrc { left: 2.. } => Field::HeaderCrc { left: 1 },
            Field::HeaderCrc { .. } | Field::End => Field::End,
            unended @ (Field::Name | Field::Comment) => unended,
        };
        Ok(self.field == Field::End)
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn after_fixed(self) -> Field {
        if self.has(HAS_EXTRA) { Field::ExtraLen { low: None } } else { self.after_extra() }
    }

    const fn after_extra(self) -> Field {
        if self.has(HAS_NAME) { Field::Name } else { self.after_name() }
    }

    const fn after_name(self) -> Field {
        if self.has(HAS_COMMENT) { Field::Comment } else { self.after_comment() }
    }

    const fn after_comment(self) -> Field {
        if self.has(HAS_HEADER_CRC) { Field::HeaderCrc { left: 2 } } else { Field::End }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, GzBuilder};

    use super::*;

    /// Length of the header that `bytes` begin with.
    fn len_of(bytes: &[u8]) -> Result<Option<usize>, HeaderFault> {
        let mut header = Header::default();
        for (idx, byte) in bytes.iter().enumerate() {
            if header.push(*byte)? {
                return Ok(Some(idx + 1));
            }
        }
        Ok(None)
    }

    #[test]
    fn header_ends_after_whichever_fields_it_has() {
        let fixed = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
        let extra: &[u8] = &[3, 0, 1, 2, 3];
        for flags in 0..32_u8 {
            let mut bytes = fixed.to_vec();
            bytes[3] = flags;
            for (flag, field) in
                [(HAS_EXTRA, extra), (HAS_NAME, b"name\0"), (HAS_COMMENT, b"\0"), (HAS_HEADER_CRC, b"\0c")]
            {
                bytes.extend_from_slice(if flags & flag == 0 { b"" } else { field });
            }
            let len_bytes = bytes.len();
            assert_eq!(len_of(&bytes[..len_bytes - 1]), Ok(None), "{flags}");
            bytes.extend_from_slice(b"more");
            assert_eq!(len_of(&bytes), Ok(Some(len_bytes)), "{flags}");
        }
    }

    #[test]
    fn header_of_another_writer_is_read() {
        let encoder = GzBuilder::new()
            .filename("a")
            .comment("b")
            .extra(vec![7; 300])
            .write(Vec::new(), Compression::none());
        let written = encoder.finish().unwrap();
        assert_eq!(len_of(&written), Ok(Some(10 + 2 + 300 + 2 + 2)));
    }

    #[test]
    fn what_is_no_gzip_member_of_deflate_is_told() {
        for (bytes, fault) in [
            (&b"{"[..], HeaderFault::Magic),
            (&[0x1F, 0x8C], HeaderFault::Magic),
            (&[0x1F, 0x8B, 7], HeaderFault::Method),
            (&[0x1F, 0x8B, 8, 0x20], HeaderFault::Flags),
        ] {
            assert_eq!(len_of(bytes), Err(fault), "{bytes:?}");
        }
    }
}
