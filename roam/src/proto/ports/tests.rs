use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// An answer's time, and what is added to it before a hop.
const PATIENCE: Duration = Duration::from_millis(150);

fn peer(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 60001))
}

fn ports(peers: u8) -> (Ports, Instant) {
    let now = gannet_sys::clock::now();
    let mut ports = Ports::new((1..=peers).map(peer).collect(), now);
    let open = PortChange::Open {
        port: Port::FIRST,
        peer: peer(1),
    };
    assert_eq!(ports.poll_change(), Some(open));
    assert_eq!(ports.poll_change(), None);
    (ports, now)
}

#[test]
fn hop_opens_a_port_that_sends_and_keeps_the_old_one() {
    let (mut ports, now) = ports(1);
    ports.hop(now);
    assert_eq!(ports.newest(), Some((Port(1), peer(1))));
    let open = PortChange::Open {
        port: Port(1),
        peer: peer(1),
    };
    assert_eq!(ports.poll_change(), Some(open));
    assert_eq!(ports.poll_change(), None);
    assert_eq!(ports.len(), 2);
}

#[test]
fn first_hop_is_at_once_and_later_ones_back_off_to_ten_seconds() {
    let (mut ports, now) = ports(1);
    assert_eq!(ports.hop_at(now, PATIENCE), now);
    let waits = [1, 1, 1200, 2400, 4800, 9600, 9600, 9600];
    for wait in waits.map(|wait| if wait == 1 { SECOND } else { MS * wait }) {
        ports.hop(now);
        assert_eq!(ports.hop_at(now, PATIENCE), now + wait);
    }
    assert_eq!(ports.hop_at(now, SECOND), now + PORT_HOP_INTERVAL);
    let later = now + SECOND * 60;
    assert_eq!(ports.hop_at(later, PATIENCE), later, "not before it is due");
}

#[test]
fn round_trip_starts_the_backing_off_anew() {
    let (mut ports, now) = ports(1);
    ports.hop(now);
    ports.hop(now);
    ports.confirmed(now);
    assert_eq!(ports.hop_at(now, PATIENCE), now);
    ports.hop(now);
    ports.confirmed(now);
    assert_eq!(ports.hop_at(now, PATIENCE), now + SECOND, "no news");
}

#[test]
fn hops_after_the_first_try_the_next_address() {
    let (mut ports, now) = ports(3);
    let tried: Vec<_> = (0..6)
        .map(|_| {
            ports.hop(now);
            ports.newest().map(|(_, peer)| peer)
        })
        .collect();
    assert_eq!(tried, [1, 2, 3, 1, 2, 3].map(|host| Some(peer(host))));
}

#[test]
fn ten_thousand_hops_leave_ten_ports() {
    let (mut ports, mut now) = ports(1);
    let mut open = vec![Port::FIRST];
    for _ in 0..10_000 {
        now += SECOND;
        ports.hop(now);
        while let Some(change) = ports.poll_change() {
            match change {
                PortChange::Open { port, .. } => open.push(port),
                PortChange::Close(port) => {
                    assert_eq!(open.first(), Some(&port), "the oldest first");
                    open.remove(0);
                }
            }
        }
        assert_eq!(open.len(), ports.len());
        assert!(open.len() <= PORTS_OPEN_MAX);
    }
    assert_eq!(open.len(), PORTS_OPEN_MAX);
    assert_eq!(ports.newest(), Some((Port(10_000), peer(1))));
}

#[test]
fn old_ports_close_a_minute_after_the_last_hop() {
    let (mut ports, now) = ports(1);
    for _ in 0..3 {
        ports.hop(now);
    }
    ports.heard(now + OLD_SOCKET_AGE_MAX);
    assert_eq!(ports.len(), 4);
    ports.heard(now + OLD_SOCKET_AGE_MAX + MS);
    assert_eq!(ports.len(), 1);
    assert_eq!(ports.newest(), Some((Port(3), peer(1))));
}

#[test]
fn refused_addresses_are_passed_over_once() {
    let (mut ports, now) = ports(3);
    assert!(ports.refused(now, Port(0)));
    assert_eq!(ports.newest(), Some((Port(1), peer(2))));
    assert!(!ports.refused(now, Port(0)), "an old one");
    assert!(ports.refused(now, Port(1)));
    assert_eq!(ports.newest(), Some((Port(2), peer(3))));
    assert!(!ports.refused(now, Port(2)), "all were tried");
    ports.network_changed();
    assert!(ports.refused(now, Port(2)));
    assert_eq!(ports.newest(), Some((Port(3), peer(1))));
    ports.hop(now);
    assert!(ports.refused(now, Port(4)) && ports.refused(now, Port(5)));
    assert!(!ports.refused(now, Port(6)));
    ports.confirmed(now);
    assert!(ports.refused(now, Port(6)));
}
