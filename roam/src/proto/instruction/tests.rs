use proptest::prelude::*;

use super::*;

/// The worked example of `mosh-wire.md` §3.5: resize to 80x24 and 11 octets of chaff.
const FIRST: &[u8] = b"\x08\x02\x10\x00\x18\x01\x20\x00\x28\x00\x32\x08\
    \x0a\x06\x1a\x04\x28\x50\x30\x18\x3a\x0b\x07\x4b\xc8\xe2\x5e\x10\xe9\x5e\x32\x38\xa9";

fn instruction() -> impl Strategy<Value = Instruction> {
    let octets = |max| prop::collection::vec(any::<u8>(), 0..max);
    let numbers = prop::array::uniform4(prop_oneof![any::<u64>(), 0..300_u64]);
    (any::<u32>(), numbers, octets(100), octets(17)).prop_map(|(version, n, diff, chaff)| {
        Instruction {
            protocol_version: version,
            old_num: n[0],
            new_num: n[1],
            ack_num: n[2],
            throwaway_num: n[3],
            diff,
            chaff,
        }
    })
}

#[test]
fn first_instruction_of_a_mosh_client_round_trips() {
    let first = Instruction::decode(FIRST).expect("an instruction");
    assert_eq!((first.old_num, first.new_num, first.ack_num), (0, 1, 0));
    assert_eq!(first.diff, b"\x0a\x06\x1a\x04\x28\x50\x30\x18");
    assert_eq!(first.chaff.len(), 11);
    assert_eq!(first.check_version(), Ok(()));
    assert_eq!(first.encode(), FIRST);
}

#[test]
fn instruction_with_absent_fields_reads_as_zeros_of_no_version() {
    let empty = Instruction::decode(b"").expect("no field is needed");
    assert_eq!(empty, Instruction::default());
    assert_eq!(empty.check_version(), Err(PeerError::Version));
}

#[test]
fn instruction_of_another_version_is_refused() {
    let other = Instruction {
        protocol_version: 3,
        ..Instruction::new()
    };
    assert_eq!(other.check_version(), Err(PeerError::Version));
}

#[test]
fn unknown_fields_are_skipped() {
    let mut octets = FIRST.to_vec();
    // Field 99, once of each kind: a number, octets, four octets, eight octets.
    octets.extend(b"\x98\x06\x01\x9a\x06\x02ab\x9d\x06abcd\x99\x06abcdefgh");
    assert_eq!(Instruction::decode(&octets), Instruction::decode(FIRST));
}

#[test]
fn instruction_longer_than_the_limit_is_refused() {
    let long = vec![0; INFLATE_MAX + 1];
    assert_eq!(Instruction::decode(&long), Err(PeerError::TooLong));
}

/// A protobuf message cut between two fields is a shorter message, so not every cut is an error.
#[test]
fn instruction_cut_within_a_field_is_refused() {
    let between = [0, 2, 4, 6, 8, 10, 20];
    for len in 0..FIRST.len() {
        let cut = Instruction::decode(&FIRST[..len]);
        assert_eq!(cut.is_ok(), between.contains(&len), "{len}");
    }
}

#[test]
fn field_of_the_wrong_kind_is_refused() {
    assert_eq!(
        Instruction::decode(b"\x0a\x00"),
        Err(PeerError::Instruction)
    );
    assert_eq!(
        Instruction::decode(b"\x30\x00"),
        Err(PeerError::Instruction)
    );
}

proptest! {
    #[test]
    fn any_instruction_round_trips(instruction in instruction()) {
        prop_assert_eq!(Instruction::decode(&instruction.encode()), Ok(instruction));
    }

    #[test]
    fn any_instruction_cut_anywhere_is_an_error_or_no_longer(instruction in instruction()) {
        let octets = instruction.encode();
        for len in 0..octets.len() {
            if let Ok(shorter) = Instruction::decode(&octets[..len]) {
                prop_assert!(shorter.encode().len() <= octets.len());
            }
        }
    }

    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = Instruction::decode(&octets).err();
        prop_assert!(matches!(error, None | Some(PeerError::Instruction)));
    }
}
