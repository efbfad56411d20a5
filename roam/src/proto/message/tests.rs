use proptest::prelude::*;

use super::*;

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn user_events() -> impl Strategy<Value = Vec<UserEvent>> {
    let event = prop_oneof![
        octets().prop_map(UserEvent::Keys),
        any::<(i32, i32)>().prop_map(|(width, height)| UserEvent::Resize { width, height }),
    ];
    prop::collection::vec(event, 0..8)
}

fn host_events() -> impl Strategy<Value = Vec<HostEvent>> {
    let event = prop_oneof![
        octets().prop_map(HostEvent::Bytes),
        any::<(i32, i32)>().prop_map(|(width, height)| HostEvent::Resize { width, height }),
        any::<u64>().prop_map(HostEvent::EchoAck),
    ];
    prop::collection::vec(event, 0..8)
}

#[test]
fn empty_diff_holds_no_event() {
    assert_eq!(UserEvent::decode(b""), Ok(vec![]));
    assert_eq!(HostEvent::encode(&[]), b"");
}

/// From `basic.jsonl`: an echo ack, then octets for the terminal.
#[test]
fn screen_of_a_mosh_server_round_trips() {
    let events = [
        HostEvent::EchoAck(1),
        HostEvent::Bytes(b"\x1b[?25l\n$ \x1b[?25h".to_vec()),
    ];
    let diff = HostEvent::encode(&events);
    assert_eq!(
        diff,
        b"\x0a\x04\x3a\x02\x40\x01\x0a\x13\x12\x11\x22\x0f\x1b[?25l\n$ \x1b[?25h"
    );
    assert_eq!(HostEvent::decode(&diff), Ok(events.to_vec()));
}

#[test]
fn unknown_events_and_fields_are_skipped() {
    // Event 9, then field 2 of the diff, then keys.
    let diff = b"\x0a\x03\x4a\x01x\x12\x01x\x0a\x05\x12\x03\x22\x01k";
    assert_eq!(
        UserEvent::decode(diff),
        Ok(vec![UserEvent::Keys(b"k".to_vec())])
    );
    assert_eq!(
        HostEvent::decode(diff),
        Ok(vec![HostEvent::Bytes(b"k".to_vec())])
    );
    // Numbers, four and eight octets beside the events.
    let others = b"\x10\x80\x01\x15abcd\x11abcdefgh\x08\x01";
    assert_eq!(UserEvent::decode(others), Ok(vec![]));
}

#[test]
fn diff_that_does_not_parse_is_refused() {
    for diff in [
        &b"\x0a"[..],
        b"\x0a\x02\x12",
        b"\x02\x00",
        b"\x0b\x0c",
        b"\x0a\x02\x12\x05",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        assert_eq!(UserEvent::decode(diff), Err(PeerError::Diff), "{diff:?}");
        assert_eq!(HostEvent::decode(diff), Err(PeerError::Diff), "{diff:?}");
    }
}

#[test]
fn diff_of_too_many_events_is_refused() {
    let one = UserEvent::encode(&[UserEvent::Keys(vec![])]);
    let most = one.repeat(EVENTS_MAX);
    assert_eq!(
        UserEvent::decode(&most).map(|events| events.len()),
        Ok(EVENTS_MAX)
    );
    let more = one.repeat(EVENTS_MAX + 1);
    assert_eq!(UserEvent::decode(&more), Err(PeerError::TooMany));
}

proptest! {
    #[test]
    fn any_user_events_round_trip(events in user_events()) {
        prop_assert_eq!(UserEvent::decode(&UserEvent::encode(&events)), Ok(events));
    }

    #[test]
    fn any_host_events_round_trip(events in host_events()) {
        prop_assert_eq!(HostEvent::decode(&HostEvent::encode(&events)), Ok(events));
    }

    /// What is cut between two events is the shorter list; anything else is an error.
    #[test]
    fn any_user_events_cut_anywhere_give_a_prefix(events in user_events()) {
        let diff = UserEvent::encode(&events);
        for len in 0..=diff.len() {
            match UserEvent::decode(&diff[..len]) {
                Ok(prefix) => {
                    prop_assert_eq!(&prefix[..], &events[..prefix.len()]);
                    prop_assert_eq!(UserEvent::encode(&prefix), &diff[..len]);
                }
                Err(error) => prop_assert_eq!(error, PeerError::Diff),
            }
        }
    }

    #[test]
    fn random_octets_never_panic(diff in octets()) {
        let user = UserEvent::decode(&diff).err();
        let host = HostEvent::decode(&diff).err();
        for error in [user, host] {
            prop_assert!(matches!(error, None | Some(PeerError::Diff)));
        }
    }
}
