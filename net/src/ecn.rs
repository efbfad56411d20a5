//! Explicit congestion notification.

/// The congestion mark of a packet: the two lower bits of its type of service or traffic class.
///
/// ```
/// use gannet_net::Ecn;
///
/// assert_eq!(Ecn::from_tos(0xba), Ecn::Ect0);
/// assert_eq!(Ecn::Ect0.bits(), 0b10);
/// ```
///
/// Reference: [RFC 3168, section 5](https://www.rfc-editor.org/rfc/rfc3168#section-5).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Ecn {
    /// The sender does not react to marks; a congested router drops the packet.
    #[default]
    NotEct,
    /// The sender reacts to marks, code point 1: for L4S (RFC 9331).
    Ect1,
    /// The sender reacts to marks, code point 0: the usual one.
    Ect0,
    /// A router on the way was congested.
    Ce,
}

impl Ecn {
    /// Returns the mark in a type of service or traffic class.
    pub fn from_tos(tos: u8) -> Ecn {
        match tos & 0b11 {
            0b00 => Ecn::NotEct,
            0b01 => Ecn::Ect1,
            0b10 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }

    /// Returns the two bits of the mark, 0 to 3.
    pub fn bits(self) -> u8 {
        match self {
            Ecn::NotEct => 0b00,
            Ecn::Ect1 => 0b01,
            Ecn::Ect0 => 0b10,
            Ecn::Ce => 0b11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_lower_bits() {
        for tos in 0..=u8::MAX {
            assert_eq!(Ecn::from_tos(tos).bits(), tos & 3, "{tos:#x}");
        }
        assert_eq!(Ecn::default().bits(), 0);
    }
}
