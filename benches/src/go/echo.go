// A TCP echo server on Go's runtime, of the same shape as the other rivals.
//
// Arguments: ADDR, buffer size in bytes, deadline of each read and write in milliseconds (0: none),
// pause after a failed accept in milliseconds. Ends with its standard input.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) != 5 {
		fail("usage: echo ADDR BUFFER DEADLINE_MS PAUSE_MS")
	}
	size := number(os.Args[2])
	deadline := time.Duration(number(os.Args[3])) * time.Millisecond
	pause := time.Duration(number(os.Args[4])) * time.Millisecond
	listener, err := net.Listen("tcp4", os.Args[1])
	if err != nil {
		fail(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			time.Sleep(pause)
			continue
		}
		// Go sets TCP_NODELAY by itself.
		go echo(conn, size, deadline)
	}
}

func echo(conn net.Conn, size int, deadline time.Duration) {
	defer conn.Close()
	buf := make([]byte, size)
	for {
		if deadline > 0 {
			conn.SetReadDeadline(time.Now().Add(deadline))
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if deadline > 0 {
			conn.SetWriteDeadline(time.Now().Add(deadline))
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fail(err)
	}
	return n
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
