# The networks of one test, as the first process of a process namespace of its own: whatever happens
# to the test, the end of its pipe ends this script, and with it everything that was started here.
#
#   client 10.77.1.2 --- 10.77.1.1 router 10.77.2.1 --- 10.77.2.2 server
set -e
mkdir -p /run/netns
mount -t tmpfs none /run/netns
for name in client router server; do
    ip netns add $name
    ip -n $name link set lo up
done
link() {
    ip -n $1 link add $2 type veth peer name $3 netns router
    ip -n $1 link set $2 up
    ip -n router link set $3 up
    # IPv6: `nodad`, so that an address can be used at once.
    ip -n $1 address add 10.77.$4.2/24 dev $2
    ip -n $1 address add fd77:$4::2/64 dev $2 nodad
    ip -n router address add 10.77.$4.1/24 dev $3
    ip -n router address add fd77:$4::1/64 dev $3 nodad
    ip -n $1 route add default via 10.77.$4.1
    ip -n $1 route add default via fd77:$4::1
}
ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
link client c0 r0 1
link server s0 r1 2

# What passes the router, and what is to be lost there.
ip netns exec router nft -f - <<RULES
add table inet roam
add counter inet roam up
add counter inet roam down
add set inet roam flows { type inet_service; flags dynamic; size 1024; }
add set inet roam dead { type inet_service; }
add chain inet roam through { type filter hook forward priority 0; }
add chain inet roam faults
add rule inet roam through udp dport 60001 counter name up
add rule inet roam through udp sport 60001 counter name down
add rule inet roam through udp dport 60001 add @flows { udp sport }
add rule inet roam through udp sport @dead drop
add rule inet roam through udp dport @dead drop
add rule inet roam through jump faults
RULES
# From where the server has heard.
ip netns exec server nft -f - <<RULES
add table inet roam
add set inet roam peers { type ipv4_addr . inet_service; flags dynamic; size 1024; }
add set inet roam peers6 { type ipv6_addr . inet_service; flags dynamic; size 1024; }
add chain inet roam arrive { type filter hook input priority 0; }
$(for host in 2 3 4 5; do
    echo "add counter inet roam host$host"
    echo "add rule inet roam arrive ip saddr 10.77.1.$host udp dport 60001 counter name host$host"
done)
add rule inet roam arrive udp dport 60001 add @peers { ip saddr . udp sport }
add rule inet roam arrive udp dport 60001 add @peers6 { ip6 saddr . udp sport }
RULES
for name in client router server; do
    ip netns exec $name readlink /proc/self/ns/net
done
echo ready
read -r end || true
