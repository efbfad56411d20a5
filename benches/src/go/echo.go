// An echo server on Go's runtime, of the same shape as the other rivals: a goroutine a connection, or
// a goroutine a socket of datagrams; or a relay. Ends with its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
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
)

func main() {
	flag.Parse()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if *datagrams > 0 {
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

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
