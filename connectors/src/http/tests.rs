//! The server through a real port: good and bad requests, and subscribers that must end up with what HTTP says.

mod auth;
pub(crate) mod client;
mod compat;
mod dead_letters;
mod erasures;
mod events;
mod export;
mod feeds;
pub(crate) mod fold;
mod happenings;
mod hostile;
mod models;
mod requests;
mod sinks;
mod sockets;
mod tls;
mod windows;

use super::{Health, HealthReport, ServeOptions, ServerHandle, Service, SocketLimits, serve};
use crate::hub::testing::{History, hub};
use crate::hub::{Hub, HubLimits};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An engine that is ready when told.
#[derive(Default)]
pub struct Switch(AtomicBool);

impl Health for Switch {
    fn report(&self) -> HealthReport {
        let ready = self.0.load(Ordering::Acquire);
        let service = Service {
            healthy: ready,
            status: "running".into(),
        };
        HealthReport {
            ready,
            reasons: if ready {
                Vec::new()
            } else {
                vec!["restoring state".into()]
            },
            services: [("engine".into(), service)].into_iter().collect(),
        }
    }
}

/// A server on a free port with some history behind it.
pub struct Running {
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Switch>,
    pub server: ServerHandle,
    pub history: History,
}

impl Running {
    pub fn start(seed: u64, ticks: usize, socket: SocketLimits, limits: HubLimits) -> Running {
        let options = ServeOptions {
            socket,
            ..ServeOptions::default()
        };
        Running::with(options, seed, ticks, limits)
    }

    /// The same with other options; the address is a free port.
    pub fn with(options: ServeOptions, seed: u64, ticks: usize, limits: HubLimits) -> Running {
        let hub = Arc::new(hub(limits));
        let metrics = Arc::new(Metrics::new().expect("no clash"));
        let health = Arc::new(Switch::default());
        let options = ServeOptions {
            addr: ([127, 0, 0, 1], 0).into(),
            drain: Duration::from_secs(2),
            ..options
        };
        let server = serve(
            options,
            Arc::clone(&hub),
            Arc::clone(&metrics),
            Arc::clone(&health) as Arc<dyn Health>,
        )
        .expect("free port");
        let mut running = Running {
            hub,
            metrics,
            health,
            server,
            history: History::new(seed),
        };
        (0..ticks).for_each(|_| running.tick());
        running
    }

    pub fn tick(&mut self) {
        self.hub.apply(&self.history.next());
    }

    pub fn get(&self, target: &str) -> client::Answer {
        client::get(self.server.addr(), target, &[])
    }

    pub fn ready(&self) {
        self.health.0.store(true, Ordering::Release);
    }
}
