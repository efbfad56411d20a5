//! The collector: a session for each device, and a line each second.

use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ArgMatches;
use gannet::roam::{Blob, Event, Server, Session};
use gannet::{JoinSet, spawn, time};

use crate::reading::Reading;
use crate::select::{First, first};
use crate::signals::StopSignal;

/// What came from all devices.
#[derive(Default)]
struct Totals {
    readings: AtomicU64,
    attached: AtomicU64,
    roams: AtomicU64,
    silent: AtomicU64,
    ended: AtomicU64,
}

/// A session with a device. Nothing is sent to it but that its readings came.
type Device = Session<Blob, Reading>;

/// Opens a session for each device, and counts what they send until the end.
pub(crate) async fn collect(matches: &ArgMatches) -> io::Result<()> {
    let stop = StopSignal::catch()?;
    let count: u16 = *matches.get_one("devices").unwrap_or(&1);
    let address: IpAddr = *matches.get_one("address").unwrap_or(&[127, 0, 0, 1].into());
    let mut list: Box<dyn Write> = match matches.get_one::<PathBuf>("list") {
        Some(path) => Box::new(
            File::create(path)
                .map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", path.display())))?,
        ),
        None => Box::new(io::stdout()),
    };
    let totals = Arc::new(Totals::default());
    let mut devices = JoinSet::new();
    for number in 0..count {
        let bound = Server::new().address(address).ports(0..=0).bind().await?;
        let (addr, key) = (bound.local_addr(), bound.key().to_text());
        writeln!(list, "sensor-{number} {addr} {}", key.as_str())?;
        let device = bound.session(Blob::new(), Reading::default());
        devices.spawn(attend(device, totals.clone()));
    }
    list.flush()?;
    drop(list);

    let printer = spawn(print_totals(totals.clone()));
    crate::ended(&stop, matches.get_one("for").copied()).await;
    printer.abort();
    totals.print()
}

/// Takes what one device sends, until it ends.
async fn attend(device: Device, totals: Arc<Totals>) {
    let mut last = 0;
    loop {
        match first(device.event(), device.recv()).await {
            First::Left(Some(event)) => totals.count(&event),
            First::Right(Some(reading)) => {
                // Readings that nobody saw were replaced by newer ones.
                let new = u64::from(reading.count.saturating_sub(last) > 0);
                totals.readings.fetch_add(new, Ordering::Relaxed);
                last = reading.count;
            }
            First::Left(None) | First::Right(None) => return,
        }
    }
}

async fn print_totals(totals: Arc<Totals>) {
    loop {
        time::sleep(Duration::from_secs(1)).await;
        if totals.print().is_err() {
            return; // Nobody reads it.
        }
    }
}

impl Totals {
    fn count(&self, event: &Event) {
        let counter = match event {
            Event::Attached { .. } => &self.attached,
            Event::Roamed { .. } => &self.roams,
            Event::Silent { .. } => &self.silent,
            Event::Closed { .. } => &self.ended,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn print(&self) -> io::Result<()> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stdout = io::stdout().lock();
        writeln!(
            stdout,
            "readings {} attached {} roams {} silences {} ended {}",
            load(&self.readings),
            load(&self.attached),
            load(&self.roams),
            load(&self.silent),
            load(&self.ended)
        )?;
        stdout.flush()
    }
}
