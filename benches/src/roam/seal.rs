//! Sealing and opening, against OpenSSL's AES-128-OCB.

use std::time::{Duration, Instant};

use gannet::roam::proto::{Key, Seal, Side};

use super::openssl::Ocb;
use super::reported;
use crate::report::Report;

/// A datagram of a screen: what fits into one.
const LENGTH: usize = 1_200;
/// Datagrams between two looks at the clock.
const BATCH: u32 = 200;
/// Octets of a nonce and of a tag on the wire.
const NONCE: usize = 8;
const TAG: usize = 16;

/// Seals and opens by turns, ours and OpenSSL's, for `seconds` each.
pub(super) fn measure(seconds: Duration) -> Result<Report, String> {
    let octets = [7; 16];
    let key = Key::from_bytes(octets);
    let (mut seal, open) = (Seal::new(&key, Side::Client), Seal::new(&key, Side::Server));
    let mut openssl = Ocb::new(&octets)?;
    let (plain, mut datagram) = (vec![0x5a; LENGTH], Vec::with_capacity(2 * LENGTH));
    let (mut number, mut ours, mut theirs) = (0u64, Vec::new(), Vec::new());
    let start = Instant::now();
    while start.elapsed() < 2 * seconds {
        let began = Instant::now();
        for _ in 0..BATCH {
            datagram.clear();
            seal.seal(&plain, &mut datagram)
                .map_err(|err| err.to_string())?;
            let opened = open.open(&mut datagram).map_err(|err| err.to_string())?;
            assert_eq!(opened.payload.len(), LENGTH, "it is opened");
        }
        ours.push(began.elapsed().as_nanos() as f64 / f64::from(BATCH));
        let began = Instant::now();
        for _ in 0..BATCH {
            number += 1;
            datagram.clear();
            datagram.extend_from_slice(&number.to_be_bytes());
            datagram.resize(NONCE + LENGTH + TAG, 0);
            openssl.seal(number, &plain, &mut datagram[NONCE..])?;
            openssl.open(number, &mut datagram[NONCE..])?;
        }
        theirs.push(began.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
    let ratios = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours);
    Ok(reported(&[
        ("ratio", median(ratios.collect())),
        ("ns_each", median(ours)),
        ("openssl_ns_each", median(theirs)),
    ]))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both make the same octets, so both do the same work.
    #[test]
    fn openssl_agrees_with_ours() {
        let octets = [7; 16];
        let mut seal = Seal::new(&Key::from_bytes(octets), Side::Client);
        let mut ours = Vec::new();
        let plain = vec![0x5a; LENGTH];
        let number = seal.seal(&plain, &mut ours).expect("a number");
        let mut openssl = Ocb::new(&octets).expect("libcrypto");
        let mut theirs = vec![0; LENGTH + TAG];
        openssl.seal(number, &plain, &mut theirs).expect("sealed");
        assert_eq!(theirs, ours[NONCE..]);
        openssl.open(number, &mut theirs).expect("authentic");
        assert_eq!(theirs[..LENGTH], plain);
        assert!(openssl.open(number + 1, &mut ours[NONCE..]).is_err());
    }
}
