//! A log-linear histogram of durations: constant memory, and at most 0.8 % from the true value.
//!
//! Each power of two is cut into 128 equal buckets, so the width of a bucket is below 1/128 of the
//! values in it. A percentile is told as the upper end of its bucket, never below the truth.

use std::time::Duration;

/// Buckets a power of two.
const LINEAR: u64 = 1 << LINEAR_BITS;
const LINEAR_BITS: u32 = 7;
/// Enough for every `u64`: values below `LINEAR` one by one, then 57 powers of two.
const BUCKETS: usize = (LINEAR as usize) * (64 - LINEAR_BITS as usize + 1);

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Makes an empty histogram.
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// Returns how many durations were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the largest duration counted.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// Returns the duration that `quantile` (0 to 1) of all counted ones do not exceed; zero if
    /// none was counted.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((quantile * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_end(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(ns: u64) -> usize {
    if ns < LINEAR {
        return ns as usize;
    }
    let shift = ns.ilog2() - LINEAR_BITS;
    let mantissa = ns >> shift;
    (u64::from(shift + 1) * LINEAR + (mantissa - LINEAR)) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let shift = bucket / LINEAR - 1;
    let mantissa = LINEAR + bucket % LINEAR;
    // Written so that the last bucket, which ends at `u64::MAX`, does not overflow.
    (mantissa << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_of_is_continuous_and_upper_end_inverts_it() {
        for bucket in 0..BUCKETS {
            let end = upper_end(bucket);
            assert_eq!(bucket_of(end), bucket);
            if let Some(next) = end.checked_add(1) {
                assert_eq!(bucket_of(next), bucket + 1);
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(upper_end(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn upper_end_is_within_one_part_in_128() {
        for ns in [
            1,
            127,
            128,
            129,
            255,
            256,
            1_000,
            4_600,
            999_999,
            12_345_678_901,
        ] {
            let told = upper_end(bucket_of(ns));
            assert!(told >= ns && (told - ns) * 128 <= ns, "{ns} told as {told}");
        }
    }

    #[test]
    fn quantile_of_one_to_ten_thousand_matches_the_ranks() {
        let mut histogram = Histogram::new();
        for us in 1..=10_000 {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!(histogram.total(), 10_000);
        assert_eq!(histogram.max(), Duration::from_millis(10));
        for (quantile, want_us) in [(0.5, 5_000), (0.99, 9_900), (0.999, 9_990), (1.0, 10_000)] {
            let told = histogram.quantile(quantile).as_nanos() as f64 / 1e3;
            let want = f64::from(want_us);
            assert!(
                told >= want && told <= want * 1.008,
                "{quantile}: {told} for {want}"
            );
        }
        assert_eq!(histogram.quantile(1.0), histogram.max());
    }

    #[test]
    fn quantile_without_values_is_zero_and_of_one_value_is_that_value() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        histogram.record(Duration::from_nanos(4_601));
        assert_eq!(histogram.quantile(0.0), Duration::from_nanos(4_601));
        assert_eq!(histogram.quantile(0.999), Duration::from_nanos(4_601));
    }
}
