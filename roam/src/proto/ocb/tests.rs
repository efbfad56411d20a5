//! The vectors of RFC 7253, and the same questions asked of another implementation.

use ocb3::aead::AeadInOut;
use proptest::prelude::*;

use super::*;

/// The nonce of 96 bits with the number `low` at its end.
fn nonce(low: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&low.to_be_bytes());
    nonce
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// Octets of associated data, octets of plaintext (both 00 01 02 ...), ciphertext and tag; the
/// nonce's last octet is the row. RFC 7253, appendix A.
const SAMPLES: [(u8, u8, &str); 16] = [
    (0, 0, "785407BFFFC8AD9EDCC5520AC9111EE6"),
    (8, 8, "6820B3657B6F615A5725BDA0D3B4EB3A257C9AF1F8F03009"),
    (8, 0, "81017F8203F081277152FADE694A0A00"),
    (0, 8, "45DD69F8F5AAE72414054CD1F35D82760B2CD00D2F99BFA9"),
    (
        16,
        16,
        "571D535B60B277188BE5147170A9A22C3AD7A4FF3835B8C5701C1CCEC8FC3358",
    ),
    (16, 0, "8CF761B6902EF764462AD86498CA6B97"),
    (
        0,
        16,
        "5CE88EC2E0692706A915C00AEB8B2396F40E1C743F52436BDF06D8FA1ECA343D",
    ),
    (
        24,
        24,
        "1CA2207308C87C010756104D8840CE1952F09673A448A122C92C62241051F57356D7F3C90BB0E07F",
    ),
    (24, 0, "6DC225A071FC1B9F7C69F93B0F1E10DE"),
    (
        0,
        24,
        "221BD0DE7FA6FE993ECCD769460A0AF2D6CDED0C395B1C3CE725F32494B9F914D85C0B1EB38357FF",
    ),
    (
        32,
        32,
        "BD6F6C496201C69296C11EFD138A467ABD3C707924B964DEAFFC40319AF5A48540FBBA186C5553C6\
         8AD9F592A79A4240",
    ),
    (32, 0, "FE80690BEE8A485D11F32965BC9D2A32"),
    (
        0,
        32,
        "2942BFC773BDA23CABC6ACFD9BFD5835BD300F0973792EF46040C53F1432BCDFB5E1DDE3BC18A5F8\
         40B52E653444D5DF",
    ),
    (
        40,
        40,
        "D5CA91748410C1751FF8A2F618255B68A0A12E093FF454606E59F9C1D0DDC54B65E8628E568BAD7A\
         ED07BA06A4A69483A7035490C5769E60",
    ),
    (40, 0, "C5CD9D1850C141E358649994EE701B68"),
    (
        0,
        40,
        "4412923493C57D5DE0D700F753CCE0D1D2D95060122E9F15A5DDBFC5787E50B5CC55EE507BCB084E\
         479AD363AC366B95A98CA5F3000B1479",
    ),
];

#[test]
fn samples_of_the_rfc_seal_and_open() {
    let key = std::array::from_fn(|i| i as u8);
    let ocb = Ocb::new(&key);
    for (row, (associated, plain, expected)) in (0..).zip(SAMPLES) {
        let nonce = [
            0xBB, 0xAA, 0x99, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, row,
        ];
        let associated: Vec<u8> = (0..associated).collect();
        let plain: Vec<u8> = (0..plain).collect();
        let mut text = plain.clone();
        let tag = ocb.seal(&nonce, &associated, &mut text);
        assert_eq!(hex(&text) + &hex(&tag), expected, "row {row}");
        assert_eq!(ocb.open(&nonce, &associated, &mut text, &tag), Ok(()));
        assert_eq!(text, plain, "row {row}");
    }
}

/// The longer test of RFC 7253, appendix A, for a key and a tag of 128 bits.
#[test]
fn iteration_of_the_rfc_ends_in_its_tag() {
    let mut key = [0; BLOCK_LEN];
    key[BLOCK_LEN - 1] = 128;
    let ocb = Ocb::new(&key);
    let mut all = Vec::new();
    for i in 0..128 {
        let zeros = vec![0; i];
        let first = 3 * i as u64 + 1;
        for (low, associated, plain) in [
            (first, &zeros[..], &zeros[..]),
            (first + 1, &[], &zeros),
            (first + 2, &zeros, &[]),
        ] {
            let mut text = plain.to_vec();
            let tag = ocb.seal(&nonce(low), associated, &mut text);
            all.extend(text);
            all.extend(tag);
        }
    }
    assert_eq!(all.len(), 22_400);
    let tag = ocb.seal(&nonce(385), &all, &mut []);
    assert_eq!(hex(&tag), "67E944D23256C5E0B6C61FA22FDF1EA2");
}

#[test]
fn longest_text_seals_and_opens() {
    let ocb = Ocb::new(&[9; BLOCK_LEN]);
    let mut text = vec![0x5A; TEXT_MAX];
    let tag = ocb.seal(&nonce(1), &[], &mut text);
    assert_eq!(ocb.open(&nonce(1), &[], &mut text, &tag), Ok(()));
    assert_eq!(text, vec![0x5A; TEXT_MAX]);
}

#[test]
fn forged_text_is_wiped() {
    let ocb = Ocb::new(&[9; BLOCK_LEN]);
    let mut text = *b"a text of more than one block";
    let mut tag = ocb.seal(&nonce(1), &[], &mut text);
    tag[15] ^= 1;
    assert_eq!(ocb.open(&nonce(1), &[], &mut text, &tag), Err(Forged));
    assert_eq!(text, [0; 29]);
}

/// Asks `ocb3` and us for the same message, and each to open it.
fn check(key: [u8; BLOCK_LEN], nonce: [u8; NONCE_LEN], associated: &[u8], plain: &[u8]) {
    let ours = Ocb::new(&key);
    let theirs: ocb3::Ocb3<Aes128> = KeyInit::new(&key.into());
    let (mut text, mut other) = (plain.to_vec(), plain.to_vec());
    let tag = ours.seal(&nonce, associated, &mut text);
    let other_tag = theirs
        .encrypt_inout_detached(&nonce.into(), associated, (&mut other[..]).into())
        .expect("short enough");
    assert_eq!((&text, tag), (&other, other_tag.0));
    assert_eq!(ours.open(&nonce, associated, &mut text, &tag), Ok(()));
    assert_eq!(text, plain);
}

#[test]
fn every_length_agrees_with_another_implementation() {
    let plain: Vec<u8> = (0..TEXT_MAX).map(|i| (i * 7 % 251) as u8).collect();
    for len in 0..=TEXT_MAX {
        check([3; BLOCK_LEN], nonce(len as u64), &[], &plain[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn random_messages_agree_with_another_implementation(
        key: [u8; BLOCK_LEN],
        nonce: [u8; NONCE_LEN],
        associated in prop::collection::vec(any::<u8>(), 0..40),
        plain in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check(key, nonce, &associated, &plain);
    }
}

const CASES: u32 = 100_000;
