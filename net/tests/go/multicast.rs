//! Groups that two sockets of one port listen to, and what the kernel knows of them.

use std::net::IpAddr;

use gannet_net::{ListenConfig, UdpSocket};

use crate::common::namespace::{add_link, in_namespace, ip};
use crate::common::run;

/// Whether the kernel lists the group among those that this machine is a member of.
fn is_listed(group: IpAddr) -> bool {
    let (file, text) = match group {
        IpAddr::V4(v4) => {
            let number = u32::from_ne_bytes(v4.octets());
            ("/proc/self/net/igmp", format!("{number:08X}"))
        }
        IpAddr::V6(v6) => {
            let number = u128::from(v6);
            ("/proc/self/net/igmp6", format!("{number:032x}"))
        }
    };
    let list = std::fs::read_to_string(file).unwrap();
    list.contains(&text)
}

/// Listens to a group of one port twice.
async fn listen_twice(network: &str, group: &str, interface: Option<&str>) -> [UdpSocket; 2] {
    let config = ListenConfig::new();
    let first = config.listen_multicast(network, format!("[{group}]:0"), interface);
    let first = first.await.unwrap();
    let port = first.local_addr().unwrap().port();
    assert_ne!(port, 0);
    let second = config.listen_multicast(network, format!("[{group}]:{port}"), interface);
    [first, second.await.unwrap()]
}

#[test]
fn group_of_ipv4_is_joined_twice_and_listed() {
    in_namespace(
        "multicast::group_of_ipv4_is_joined_twice_and_listed",
        || {
            ip("route add 233.252.0.0/24 dev lo");
            run(async {
                let group = "233.252.0.114";
                for network in ["udp", "udp4"] {
                    for interface in [Some("lo"), None] {
                        assert!(!is_listed(group.parse().unwrap()), "left before");
                        let both = listen_twice(network, group, interface).await;
                        assert!(is_listed(group.parse().unwrap()), "{network} {interface:?}");
                        drop(both);
                    }
                }
            });
        },
    );
}

#[test]
fn group_of_ipv6_is_joined_twice_and_listed_in_every_scope() {
    let name = "multicast::group_of_ipv6_is_joined_twice_and_listed_in_every_scope";
    in_namespace(name, || {
        add_link("gn0", "fd77::1/64");
        run(async {
            for group in [
                "ff01::db8:0:114",
                "ff02::db8:0:114",
                "ff04::db8:0:114",
                "ff05::db8:0:114",
                "ff08::db8:0:114",
                "ff0e::db8:0:114",
            ] {
                for network in ["udp", "udp6"] {
                    assert!(!is_listed(group.parse().unwrap()), "left before");
                    let zoned = format!("{group}%gn0");
                    let both = listen_twice(network, &zoned, Some("gn0")).await;
                    assert!(is_listed(group.parse().unwrap()), "{network} {group}");
                    drop(both);
                }
            }
        });
    });
}
