use proptest::prelude::*;

use super::*;

/// Octets without a pattern that a compressor could use.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

#[test]
fn longest_instruction_round_trips() {
    for plain in [vec![0; INFLATE_MAX], noise(INFLATE_MAX)] {
        let stream = deflate(&plain).expect("within the limit");
        assert_eq!(inflate(&stream).expect("a whole stream"), plain);
    }
}

#[test]
fn instruction_above_the_limit_is_refused_at_both_ends() {
    let plain = vec![0; INFLATE_MAX + 1];
    let error = LocalError::TooLong {
        len: plain.len(),
        limit: INFLATE_MAX,
    };
    assert_eq!(deflate(&plain), Err(error));
    let mut compress = Compress::new(Compression::new(LEVEL), true);
    let mut stream = Vec::with_capacity(1 << 16);
    let status = compress.compress_vec(&plain, &mut stream, FlushCompress::Finish);
    assert_eq!(status.expect("a new stream"), Status::StreamEnd);
    assert_eq!(inflate(&stream), Err(PeerError::TooLong));
}

/// `mosh-wire.md` §5: a receiver takes any level, and stored blocks too.
#[test]
fn every_level_is_taken() {
    let plain = noise(5000);
    for level in 0..=9 {
        let mut compress = Compress::new(Compression::new(level), true);
        let mut stream = Vec::with_capacity(6000);
        let status = compress.compress_vec(&plain, &mut stream, FlushCompress::Finish);
        assert_eq!(status.expect("a new stream"), Status::StreamEnd);
        assert_eq!(inflate(&stream).as_ref(), Ok(&plain), "level {level}");
    }
}

#[test]
fn stream_cut_anywhere_is_refused() {
    for plain in [noise(300), b"again and again and again and again".to_vec()] {
        let stream = deflate(&plain).expect("short");
        for len in 0..stream.len() {
            assert_eq!(inflate(&stream[..len]), Err(PeerError::Inflate), "{len}");
        }
    }
}

#[test]
fn stream_with_something_after_it_is_refused() {
    let mut stream = deflate(b"instruction").expect("short");
    stream.push(0);
    assert_eq!(inflate(&stream), Err(PeerError::Inflate));
}

#[test]
fn stream_with_a_wrong_checksum_is_refused() {
    let mut stream = deflate(b"instruction").expect("short");
    *stream.last_mut().expect("not empty") ^= 1;
    assert_eq!(inflate(&stream), Err(PeerError::Inflate));
}

proptest! {
    #[test]
    fn random_octets_round_trip(plain in prop::collection::vec(any::<u8>(), 0..3000)) {
        let stream = deflate(&plain).expect("short");
        prop_assert_eq!(inflate(&stream), Ok(plain));
    }

    #[test]
    fn random_octets_never_panic(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        // The header makes more of them get past the first check.
        let streams = [stream.clone(), [&[0x78, 0x9C], &stream[..]].concat()];
        for stream in streams {
            let plain = inflate(&stream).unwrap_or_default();
            prop_assert!(plain.len() <= INFLATE_MAX);
        }
    }
}
