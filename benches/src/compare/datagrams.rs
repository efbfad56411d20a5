//! The subjects about datagrams by the batch.

use super::network::{
    CPU, GENERATOR_CPU, INSTRUCTIONS, RSS, SERVER_CPU, SWITCHES, SYSTEM, SYSTEM_CALLS, USER, USUAL,
};
use super::subject::{
    Against, Bar, Base, Bound, Column, Count, PLAIN, Subject, Variant, Work, column,
};
use crate::server::Rival::{Gannet, GannetCt, Go, Raw, Smol, Tokio, TokioCt};

const RATE: Column = column("datagrams/s", "datagrams_per_second", 0);
const RAW_AND_FIRST: &[Base] = &[Base::Rival(Raw), Base::First, Base::FirstOf(Tokio)];

/// One datagram a call on a socket.
const ONE: Variant = Variant {
    server: &["--datagrams", "1"],
    load: &["--window", "4"],
    ..PLAIN[0]
};

const fn than_one_a_call(text: &'static str, variant: usize) -> Bar {
    Bar {
        text,
        figure: "datagrams_per_second",
        variant,
        against: Against::First,
        bound: Bound::AtLeast(1.3),
    }
}

/// The subjects, in the order of the tables.
pub(crate) const SUBJECTS: &[Subject] = &[ECHO, BULK];

const ECHO: Subject = Subject {
    name: "udp-echo",
    title: "UDP echo of 64 B, 16 peers on a socket, 1 worker",
    head: "\
Measured: datagrams of 64 bytes that 16 peers send to one socket, and their echoes; each peer has 4 on
their way, and sends anew what came back, or after 200 ms what did not, which counts as lost. One
datagram a call; in batches, by recvmmsg and sendmmsg; and joined, where the kernel hands over those of
a peer as one (GRO) and cuts them again (GSO), which tokio does by quinn-udp, one message a call. Unit:
echoes a second that arrived, so more is better; costs are those of the server, each datagram. Floor:
raw, a loop on epoll. Rival: the same one a call, and tokio so. Noise: 3 % in the ratios. The load cuts
and receives in batches, so as to be cheaper than any server.",
    work: Work::Load("volley"),
    rivals: &[Raw, Gannet, GannetCt, Tokio, TokioCt, Smol, Go],
    variants: &[
        ONE,
        Variant {
            note: ", batches",
            server: &["--datagrams", "1", "--batches"],
            ..ONE
        },
        Variant {
            note: ", joined",
            server: &["--datagrams", "1", "--joined"],
            ..ONE
        },
    ],
    connections: 16,
    counts: &[Count::Instructions, Count::SystemCalls],
    key: RATE,
    bases: RAW_AND_FIRST,
    columns: &[
        CPU,
        USER,
        SYSTEM,
        INSTRUCTIONS,
        SYSTEM_CALLS,
        SWITCHES,
        column("lost", "lost", 0),
        SERVER_CPU,
        GENERATOR_CPU,
    ],
    bars: &[
        than_one_a_call("datagrams a second, in batches, of those one a call", 1),
        than_one_a_call("datagrams a second, joined, of those one a call", 2),
    ],
    ..USUAL
};

const BULK: Subject = Subject {
    name: "udp-bulk",
    title: "UDP bulk of 1,400 B, 2 workers",
    head: "\
Measured: datagrams of 1,400 bytes from a task's socket to another task's in one process, with 184 on
their way at most, which the two count in memory that they share: so nothing is sent in vain, and no
acknowledgements are measured. One datagram a call; and joined, by GSO and GRO: gannet sends 4 messages
of 46 datagrams a call, tokio one, by quinn-udp, and both receive as many as are there. Unit:
datagrams a second that arrived, so more is better; costs are those of both ends and their kernel's,
each datagram. Floor: raw, one thread that sends and receives by turns. Rival: tokio's one a call.
Noise: 10 %; where the ends run on two processors, the data's way from cache to cache is in it.",
    work: Work::Load("bulk"),
    rivals: &[Raw, Gannet, Tokio, Go],
    variants: &[
        Variant {
            server: &["--bulk"],
            ..PLAIN[0]
        },
        Variant {
            note: ", joined",
            server: &["--bulk", "--joined"],
            ..PLAIN[0]
        },
    ],
    connections: 1,
    workers: 2,
    counts: &[Count::SystemCalls],
    key: RATE,
    bases: RAW_AND_FIRST,
    columns: &[
        Column {
            scale: 1000.0,
            ..column("CPU ns each", "server_cpu_us", 0)
        },
        Column {
            scale: 1000.0,
            ..column("user ns each", "server_user_us", 0)
        },
        column("system calls each", "system_calls", 4),
        SWITCHES,
        column("lost %", "lost_percent", 2),
        column("CPU % of both ends", "server_cpu_percent", 0),
        RSS,
    ],
    bars: &[
        Bar {
            text: "datagrams a second, joined, of tokio's one a call",
            figure: "datagrams_per_second",
            variant: 1,
            against: Against::FirstOf(Tokio),
            bound: Bound::AtLeast(10.0),
        },
        Bar {
            text: "CPU of both ends a datagram, joined, µs",
            figure: "server_cpu_us",
            variant: 1,
            against: Against::Nothing,
            bound: Bound::AtMost(0.15),
        },
    ],
    ..USUAL
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Rival;

    #[test]
    fn heads_tell_the_numbers_that_are_measured() {
        assert!(
            BULK.head
                .contains(&format!("with {} on", crate::bulk::WINDOW))
        );
        assert!(BULK.head.contains("4 messages\nof 46"));
        assert_eq!(crate::bulk::BURST, 4 * 46);
        let has = |subject: &Subject, bar: usize, word| {
            let variant = subject.bars[bar].variant;
            subject.variants[variant].server.contains(&word)
        };
        assert!(has(&ECHO, 0, "--batches") && has(&ECHO, 1, "--joined"));
        assert!(has(&BULK, 0, "--joined") && has(&BULK, 1, "--joined"));
        let can = |rival: &Rival| rival.has_bulk();
        assert!(BULK.rivals.iter().all(can));
    }
}
