//! Everything that goes wrong, from a seed.
//!
//! In: a world and what is to flow. Out: what happened. While the feed is written, the engine is started and ended again and
//! again: by SIGKILL after a random while, or by itself at a failpoint between the steps of a commit. In between the broker or
//! the database stands still, or is killed and started again. Of two processes either is killed, and the other one must end by
//! itself.

use crate::Failure;
use crate::engine::{LOST, POINTS};
use crate::feed::{Feed, Message, TOPICS};
use crate::world::{RUINED, World};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
/// In this time a process has noticed that the other one is gone.
const NOTICE: Duration = Duration::from_secs(3);

/// What happened.
#[derive(Default)]
pub struct Faults {
    by_signal: usize,
    /// Of two processes the one that does not lead.
    followers: usize,
    /// How often one of two noticed that the other was gone.
    noticed: usize,
    by_point: BTreeMap<&'static str, usize>,
    troubles: BTreeMap<&'static str, usize>,
}

impl Faults {
    /// How often the engine was ended.
    pub fn kills(&self) -> usize {
        self.by_signal + self.followers + self.by_point.values().sum::<usize>()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed {} times: {} by SIGKILL", self.kills(), self.by_signal)?;
        if self.followers > 0 {
            write!(
                f,
                ", {} the other process; one noticed the end of the other {} times",
                self.followers, self.noticed
            )?;
        }
        for (point, count) in &self.by_point {
            write!(f, ", {count} at {point}")?;
        }
        for (trouble, count) in &self.troubles {
            write!(f, "; {trouble}: {count}")?;
        }
        Ok(())
    }
}

/// Writes the feed and ends the engine `kills` times meanwhile.
pub fn ruin(world: &mut World, feed: &Feed, kills: usize, seed: u64) -> Result<Faults, Failure> {
    let producer: BaseProducer = world
        .client()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("partitioner", "murmur2_random")
        .create()?;
    let (allowed, messages) = (AtomicUsize::new(0), &feed.messages);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| write(&producer, messages, &allowed));
        let mut random = ChaCha8Rng::seed_from_u64(seed.rotate_left(32) ^ 0x00DE_FEC7);
        let mut faults = Faults::default();
        let ruined = (0..kills).try_for_each(|round| {
            let share = messages.len() * round / kills..messages.len() * (round + 1) / kills;
            one_life(world, &mut random, &mut faults, |lived| {
                let sent = (share.len() as f64 * lived.min(1.0)) as usize;
                allowed.fetch_max(share.start + sent, Ordering::AcqRel);
            })?;
            if round % 10 == 9 {
                println!("{} of {kills} kills", round + 1);
            }
            Ok::<(), Failure>(())
        });
        allowed.store(messages.len(), Ordering::Release);
        let written = feeder.join().map_err(|_| "the feeder panicked")?;
        ruined.and(written).map(|()| faults)
    })
}

fn write(producer: &BaseProducer, messages: &[Message], allowed: &AtomicUsize) -> Result<(), Failure> {
    let mut sent = 0;
    while sent < messages.len() {
        if sent >= allowed.load(Ordering::Acquire) {
            producer.poll(Duration::from_millis(20));
            continue;
        }
        let message = &messages[sent];
        let mut record = BaseRecord::to(TOPICS[message.topic]).key(&message.key);
        record.payload = message.value.as_deref();
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(20));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// From one start of the engine to its end; `feed` is told the share of its time that has passed.
fn one_life(
    world: &mut World,
    random: &mut ChaCha8Rng,
    faults: &mut Faults,
    feed: impl Fn(f64),
) -> Result<(), Failure> {
    let crash_at = random.random_bool(0.5).then(|| {
        let point = POINTS[random.random_range(0..POINTS.len())];
        (point, random.random_range(1..20))
    });
    let at = crash_at.map(|(point, count)| format!("{point}:{count}"));
    let (began, life) = (Instant::now(), Duration::from_millis(random.random_range(300..6_000)));
    let (mut engine, mut follower) = (world.engine(RUINED, at.as_deref())?, world.follower(RUINED)?);
    std::thread::sleep(Duration::from_millis(random.random_range(100..800)));
    if let Some(name) = trouble(world, random)? {
        *faults.troubles.entry(name).or_default() += 1;
    }
    while began.elapsed() < life && engine.try_wait()?.is_none() {
        feed(began.elapsed().as_secs_f64() / life.as_secs_f64());
        std::thread::sleep(Duration::from_millis(5));
    }
    let spare_engine = follower.is_some() && random.random_bool(0.5);
    if let Some(follower) = follower.as_mut().filter(|_| spare_engine) {
        follower.kill()?;
        follower.wait()?;
        notice(&mut engine, faults)?;
    }
    // Gone already if a failpoint came first.
    let _ = engine.kill();
    let status = engine.wait()?;
    feed(1.0);
    if let Some(follower) = follower.as_mut().filter(|_| !spare_engine) {
        notice(follower, faults)?;
    }
    match (status.signal(), crash_at) {
        (Some(SIGKILL) | None, _) if spare_engine && status.code().is_none_or(|code| code == LOST) => {
            faults.followers += 1;
        }
        (Some(SIGKILL), _) => faults.by_signal += 1,
        (Some(SIGABRT), Some((point, _))) => *faults.by_point.entry(point).or_default() += 1,
        _ => return Err(world.told(RUINED, &format!("the engine ended by itself: {status}"))),
    }
    Ok(())
}

/// Waits for a process that has lost the other one to end by itself. One that was alone waits for the other, and is killed.
fn notice(process: &mut Child, faults: &mut Faults) -> Result<(), Failure> {
    let end = Instant::now() + NOTICE;
    let status = loop {
        match process.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > end => {
                process.kill()?;
                process.wait()?;
                return Ok(());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    match (status.code(), status.signal()) {
        (Some(LOST), _) => faults.noticed += 1,
        // A failpoint was quicker.
        (_, Some(SIGABRT)) => {}
        _ => return Err(format!("a process that lost the other one ended with {status}").into()),
    }
    Ok(())
}

/// Something happens to the broker or the database, or nothing.
fn trouble(world: &mut World, random: &mut ChaCha8Rng) -> Result<Option<&'static str>, Failure> {
    let while_it_stands = Duration::from_millis(random.random_range(200..1_500));
    Ok(Some(match random.random_range(0..16) {
        0..2 => {
            world.kafka.pause()?;
            std::thread::sleep(while_it_stands);
            world.kafka.resume()?;
            "broker stood still"
        }
        2 => {
            world.kafka.restart()?;
            "broker killed"
        }
        3..5 => {
            world.postgres.pause()?;
            std::thread::sleep(while_it_stands);
            world.postgres.resume()?;
            "database stood still"
        }
        5 => {
            world.postgres.restart()?;
            "database killed"
        }
        _ => return Ok(None),
    }))
}
