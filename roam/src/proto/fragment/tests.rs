use proptest::prelude::*;

use super::*;
use crate::proto::constants::{MTU_IPV4, MTU_IPV6, MTU_LAST_RESORT};

fn fragment(id: u64, number: u16, last: bool, contents: &[u8]) -> Fragment<'_> {
    Fragment {
        id,
        number,
        last,
        contents,
    }
}

/// An instruction that starts at state `old`.
fn from_state(old: u64) -> Instruction {
    Instruction {
        old_num: old,
        ..Instruction::new()
    }
}

/// All pieces of `blob`, sealed into nothing.
fn pieces(blob: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let split = Fragmenter::new().split(&Instruction::new(), blob.into(), limit);
    let mut fragments = split.expect("short enough");
    let mut all = Vec::new();
    while !fragments.is_empty() {
        let mut piece = Vec::new();
        assert!(fragments.next_into(&mut piece));
        all.push(piece);
    }
    assert!(!fragments.next_into(&mut Vec::new()), "all are taken");
    all
}

#[test]
fn blob_is_cut_at_exactly_the_limit() {
    // Contents of 1214, 1178 and 462 octets: `mosh-wire.md` §4.5.
    for (limit, room) in [(MTU_IPV4, 1214), (MTU_IPV6, 1178), (MTU_LAST_RESORT, 462)] {
        for (len, expected) in [
            (1, vec![1]),
            (room, vec![room]),
            (room + 1, vec![room, 1]),
            (3 * room, vec![room; 3]),
        ] {
            let lengths: Vec<usize> = pieces(&vec![7; len], limit)
                .iter()
                .map(|piece| piece.len() - FRAGMENT_HEADER_LEN)
                .collect();
            assert_eq!(lengths, expected, "{len} octets within {limit}");
        }
    }
}

#[test]
fn header_holds_id_final_bit_and_number() {
    let pieces = pieces(&[7; 3000], MTU_IPV4);
    let headers: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..10]).collect();
    let expected: [&[u8]; 3] = [
        b"\0\0\0\0\0\0\0\x01\x00\x00",
        b"\0\0\0\0\0\0\0\x01\x00\x01",
        b"\0\0\0\0\0\0\0\x01\x80\x02",
    ];
    assert_eq!(headers, expected);
}

#[test]
fn fragment_cut_within_its_header_is_refused() {
    for len in 0..FRAGMENT_HEADER_LEN {
        let cut = Fragment::decode(&[1; FRAGMENT_HEADER_LEN][..len]);
        assert_eq!(cut, Err(PeerError::FragmentShort), "{len}");
    }
}

#[test]
fn id_is_kept_for_the_same_and_grows_for_anything_else() {
    let blob: Arc<[u8]> = vec![1; 10].into();
    let chaffed = Instruction {
        chaff: vec![1],
        ..Instruction::new()
    };
    let mut fragmenter = Fragmenter::new();
    let mut id = |instruction: &Instruction, blob: &Arc<[u8]>, limit| {
        let split = fragmenter.split(instruction, Arc::clone(blob), limit);
        split.expect("short enough").id()
    };
    let other: Arc<[u8]> = vec![2; 10].into();
    assert_eq!(id(&Instruction::new(), &blob, 1252), 1);
    assert_eq!(id(&Instruction::new(), &blob, 1252), 1);
    assert_eq!(id(&from_state(1), &blob, 1252), 2, "another instruction");
    assert_eq!(id(&from_state(1), &blob, 500), 3, "another limit");
    assert_eq!(id(&from_state(1), &other, 500), 4, "other contents");
    assert_eq!(id(&from_state(1), &other, 500), 4);
    assert_eq!(id(&chaffed, &other, 500), 5, "other chaff");
}

#[test]
fn blob_of_too_many_pieces_is_refused() {
    let mut fragmenter = Fragmenter::new();
    let limit = OVERHEAD + 1;
    let most: Arc<[u8]> = vec![0; FRAGMENTS_MAX].into();
    let mut split = |blob: &[u8], limit| {
        let split = fragmenter.split(&Instruction::new(), blob.into(), limit);
        split.map(|fragments| fragments.remaining())
    };
    assert_eq!(split(&most, limit), Ok(FRAGMENTS_MAX));
    let error = LocalError::TooLong {
        len: FRAGMENTS_MAX + 1,
        limit: FRAGMENTS_MAX,
    };
    assert_eq!(split(&[0; FRAGMENTS_MAX + 1], limit), Err(error));
    let error = LocalError::TooLong { len: 1, limit: 0 };
    assert_eq!(split(&[0], OVERHEAD), Err(error));
}

#[test]
fn pieces_join_in_every_order() {
    let whole = b"abcdef";
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut assembler = Assembler::new();
        let mut add = |number: u16| {
            let at = usize::from(number) * 2;
            assembler.add(fragment(5, number, number == 2, &whole[at..at + 2]))
        };
        assert_eq!(add(order[0]), Ok(None), "{order:?}");
        assert_eq!(add(order[1]), Ok(None), "{order:?}");
        assert_eq!(add(order[1]), Ok(None), "{order:?}, a duplicate");
        assert_eq!(add(order[2]), Ok(Some(whole.to_vec())), "{order:?}");
        assert_eq!(assembler.memory(), 0);
    }
}

#[test]
fn piece_of_another_id_drops_what_there_was() {
    for other in [4, 6] {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.add(fragment(5, 0, false, b"a")), Ok(None));
        assert_eq!(assembler.add(fragment(other, 0, false, b"x")), Ok(None));
        assert_eq!(assembler.add(fragment(5, 1, true, b"b")), Ok(None));
        let whole = assembler.add(fragment(5, 0, false, b"a"));
        assert_eq!(whole, Ok(Some(b"ab".to_vec())));
    }
}

/// `mosh-wire.md` §12: a mosh server ends on each of these; here the piece is dropped.
#[test]
fn piece_that_contradicts_is_dropped_and_the_others_are_kept() {
    let mut assembler = Assembler::new();
    assert_eq!(assembler.add(fragment(5, 1, false, b"b")), Ok(None));
    for (bad, error) in [
        (fragment(5, 1, false, b"x"), PeerError::FragmentConflict),
        (fragment(5, 1, false, b"bb"), PeerError::FragmentConflict),
        (fragment(5, 1, true, b"b"), PeerError::FragmentConflict),
        (fragment(5, 0, true, b"a"), PeerError::FragmentNumber),
    ] {
        assert_eq!(assembler.add(bad), Err(error), "{bad:?}");
    }
    assert_eq!(assembler.add(fragment(5, 2, true, b"c")), Ok(None));
    for (bad, error) in [
        (fragment(5, 2, false, b"c"), PeerError::FragmentConflict),
        (fragment(5, 3, false, b"d"), PeerError::FragmentNumber),
        (fragment(5, 3, true, b"d"), PeerError::FragmentNumber),
        (fragment(5, 1, true, b"b"), PeerError::FragmentNumber),
    ] {
        assert_eq!(assembler.add(bad), Err(error), "{bad:?}");
    }
    let whole = assembler.add(fragment(5, 0, false, b"a"));
    assert_eq!(whole, Ok(Some(b"abc".to_vec())));
}

#[test]
fn memory_follows_what_came_and_is_bounded() {
    let mut assembler = Assembler::new();
    assert_eq!(
        assembler.add(fragment(5, 32_766, false, &[1; 100])),
        Ok(None)
    );
    assert!(assembler.memory() < 1000, "{}", assembler.memory());
    let contents = [1; 2000];
    let mut most = 0;
    let mut refused = None;
    for number in 0..32_766 {
        refused = assembler.add(fragment(5, number, false, &contents)).err();
        most = most.max(assembler.memory());
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused, Some(PeerError::TooLong));
    assert_eq!(assembler.memory(), 0, "all is dropped");
    // A vector doubles, so its capacity is at most twice what it holds.
    assert!(most <= 2 * CONTENTS_MAX + (1 << 19), "{most}");
}

proptest! {
    #[test]
    fn any_blob_joins_again_whatever_comes_between(
        blob in prop::collection::vec(any::<u8>(), 0..5000),
        limit in OVERHEAD + 1..=MTU_IPV4,
        seed: u64,
    ) {
        prop_assume!(blob.len() / (limit - OVERHEAD) < 300);
        let mut pieces = pieces(&blob, limit);
        let mut state = seed;
        for at in (1..pieces.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            pieces.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut assembler = Assembler::new();
        let (final_one, others) = pieces.split_last().expect("at least one");
        for piece in others {
            let fragment = Fragment::decode(piece).expect("long enough");
            prop_assert_eq!(&fragment.encode_header()[..], &piece[..FRAGMENT_HEADER_LEN]);
            prop_assert_eq!(assembler.add(fragment), Ok(None));
        }
        let fragment = Fragment::decode(final_one).expect("long enough");
        prop_assert_eq!(assembler.add(fragment), Ok(Some(blob)));
    }

    #[test]
    fn random_pieces_never_panic(
        pieces in prop::collection::vec((0..2_u64, 0..6_u16, any::<bool>(), 0..4_usize), 0..60),
    ) {
        let mut assembler = Assembler::new();
        for (id, number, last, len) in pieces {
            let whole = assembler.add(fragment(id, number, last, &[7; 4][..len]));
            prop_assert!(whole.unwrap_or_default().unwrap_or_default().len() <= 6 * 4);
        }
    }
}
