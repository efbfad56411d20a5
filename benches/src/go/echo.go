// An echo server on Go's runtime, of the same shape as the other rivals: a goroutine a connection, or
// a goroutine a socket of datagrams; or a relay. Ends with its standard input.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	addr      = flag.String("addr", "127.0.0.1:0", "where to listen")
	size      = flag.Int("buffer", 4096, "bytes of a read buffer")
	deadline  = flag.Duration("deadline", 0, "deadline of each read and write; 0: none")
	pause     = flag.Duration("pause", 10*time.Millisecond, "pause after a failed accept")
	datagrams = flag.Int("datagrams", 0, "echo datagrams on so many sockets instead")
	blocking  = flag.Duration("block", 0, "block a thread for so long, again and again; 0: never")
	unblocked = flag.Duration("block-pause", 10*time.Millisecond, "sleep so long between")
	upstream  = flag.String("relay", "", "relay to there instead")
	lazy      = flag.Bool("lazy", false, "no buffer while idle")
	bulk      = flag.Bool("bulk", false, "send datagrams from a socket to another instead")
	bytes     = flag.Int("bytes", 1400, "bytes of a datagram sent in bulk")
	burst     = flag.Uint64("burst", 1, "datagrams sent at a time")
	window    = flag.Uint64("window", 1, "most datagrams on their way")
	received  = flag.Int("receive-buffer", 1<<20, "bytes of the receive buffer that is asked for")
)

func main() {
	flag.Parse()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if *bulk {
		transfer()
	} else if *datagrams > 0 {
		serveDatagrams()
	} else {
		acceptAll()
	}
}

func acceptAll() {
	if *blocking > 0 {
		go block()
	}
	listener, err := net.Listen("tcp4", *addr)
	check(err)
	fmt.Printf("listening %s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			time.Sleep(*pause)
			continue
		}
		// Go sets TCP_NODELAY by itself.
		if *upstream != "" {
			go relay(conn)
		} else if *lazy {
			go echoLazily(conn)
		} else {
			go echo(conn)
		}
	}
}

// A system call that blocks, which Go's runtime sees; its own Sleep would block nobody.
func block() {
	for {
		span := syscall.NsecToTimespec(blocking.Nanoseconds())
		syscall.Nanosleep(&span, nil)
		time.Sleep(*unblocked)
	}
}

// Both directions by io.Copy, which splices between connections; the end of one is passed on.
func relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp4", *upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	copy := func(to, from net.Conn) {
		defer both.Done()
		io.Copy(to, from)
		to.(*net.TCPConn).CloseWrite()
	}
	both.Add(2)
	go copy(server, client)
	go copy(client, server)
	both.Wait()
}

func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, *size)
	for {
		if *deadline > 0 {
			conn.SetReadDeadline(time.Now().Add(*deadline))
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if *deadline > 0 {
			conn.SetWriteDeadline(time.Now().Add(*deadline))
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

var buffers = sync.Pool{New: func() any {
	buf := make([]byte, *size)
	return &buf
}}

// Go has no wait for readability but this one: the function is called when there may be bytes, and
// says by its result whether there were.
func echoLazily(conn net.Conn) {
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	check(err)
	for {
		var buf *[]byte
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			buf = buffers.Get().(*[]byte)
			n, failed = syscall.Read(int(fd), *buf)
			if failed == syscall.EAGAIN {
				buffers.Put(buf)
				return false
			}
			return true
		})
		if err != nil || failed != nil || n == 0 {
			return
		}
		_, err = conn.Write((*buf)[:n])
		buffers.Put(buf)
		if err != nil {
			return
		}
	}
}

func serveDatagrams() {
	local, err := net.ResolveUDPAddr("udp4", *addr)
	check(err)
	var addrs []string
	for range *datagrams {
		conn, err := net.ListenUDP("udp4", local)
		check(err)
		addrs = append(addrs, conn.LocalAddr().String())
		go echoDatagrams(conn)
	}
	fmt.Printf("listening %s\n", strings.Join(addrs, ","))
	select {}
}

func echoDatagrams(conn *net.UDPConn) {
	buf := make([]byte, *size)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		check(err)
		_, err = conn.WriteToUDPAddrPort(buf[:n], from)
		check(err)
	}
}

// What sender and receiver of a bulk transfer know of each other; see bulk/ledger.rs, whose shape this has.
type ledger struct {
	limit, sent, arrived, passed atomic.Uint64
	room                         chan struct{}
}

func (l *ledger) raise() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}

func (l *ledger) hasRoom(sent, passed uint64) bool {
	return passed+*window >= sent+*burst
}

func (l *ledger) pass(end uint64) {
	before := l.passed.Load()
	for end > before && !l.passed.CompareAndSwap(before, end) {
		before = l.passed.Load()
	}
	sent := l.sent.Load()
	if !l.hasRoom(sent, before) && l.hasRoom(sent, max(end, before)) {
		l.raise()
	}
}

func (l *ledger) send(conn *net.UDPConn) {
	datagram := make([]byte, *bytes)
	for {
		sent, limit := l.sent.Load(), l.limit.Load()
		if sent >= limit || !l.hasRoom(sent, l.passed.Load()) {
			<-l.room
			continue
		}
		end := sent + min(*burst, limit-sent)
		for serial := sent; serial < end; serial++ {
			binary.LittleEndian.PutUint64(datagram, serial)
			_, err := conn.Write(datagram)
			check(err)
		}
		l.sent.Store(end)
	}
}

func (l *ledger) receive(conn *net.UDPConn) {
	buf := make([]byte, *bytes+1)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		check(err)
		if n == *bytes {
			l.arrived.Add(1)
			l.pass(binary.LittleEndian.Uint64(buf) + 1)
		}
	}
}

func transfer() {
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	receiver, err := net.ListenUDP("udp4", local)
	check(err)
	asked, err := net.ListenUDP("udp4", local)
	check(err)
	sender, err := net.DialUDP("udp4", nil, receiver.LocalAddr().(*net.UDPAddr))
	check(err)
	check(receiver.SetReadBuffer(*received))
	l := &ledger{room: make(chan struct{}, 1)}
	go l.receive(receiver)
	go l.send(sender)
	fmt.Printf("listening %s\n", asked.LocalAddr())
	var question [8]byte
	var answer [16]byte
	var sentBefore, arrivedBefore uint64
	for {
		_, from, err := asked.ReadFromUDPAddrPort(question[:])
		check(err)
		sent, arrived := l.sent.Load(), l.arrived.Load()
		if sent == sentBefore && arrived == arrivedBefore {
			l.pass(sent)
		}
		l.limit.Store(binary.LittleEndian.Uint64(question[:]))
		l.raise()
		sentBefore, arrivedBefore = sent, arrived
		binary.LittleEndian.PutUint64(answer[:], sent)
		binary.LittleEndian.PutUint64(answer[8:], arrived)
		_, err = asked.WriteToUDPAddrPort(answer[:], from)
		check(err)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
