//! Ports, folders and `server.properties` of the brokers to be started.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{Error, Result};

/// Ports are taken below Linux's ephemeral range (32768 and up): a client's own outgoing connection can then never sit on a
/// stopped broker's port when it is started again.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;

/// One broker before it runs.
pub(super) struct Plan {
    pub(super) id: i32,
    pub(super) port: u16,
    /// Holds `server.properties`, `log4j2.properties`, `broker.log` and `data/`.
    pub(super) folder: PathBuf,
    pub(super) properties: String,
    /// The same for all brokers: 16 bytes in base64url.
    pub(super) cluster_id: String,
    pub(super) heap_mib: u32,
}

pub(super) fn plan(brokers: usize, folder: &Path, more: &[(&str, &str)]) -> Result<Vec<Plan>> {
    let ids: Vec<i32> = (1..).take(brokers).collect();
    let ports = free_ports(2 * brokers)?;
    let (ports, controller_ports) = ports.split_at(brokers);
    let voters = ids
        .iter()
        .zip(controller_ports)
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect::<Vec<_>>()
        .join(",");
    // 21 characters of 6 bits and the 2 bits of an "A" are 16 bytes; hexadecimal digits are base64url characters.
    let cluster_id = format!("{}A", &uuid::Uuid::new_v4().simple().to_string()[..21]);
    Ok(ids
        .iter()
        .zip(ports.iter().zip(controller_ports))
        .map(|(&id, (&port, &controller_port))| {
            let folder = folder.join(format!("broker-{id}"));
            Plan {
                id,
                port,
                properties: properties(id, port, controller_port, &voters, brokers, &folder, more),
                folder,
                cluster_id: cluster_id.clone(),
                heap_mib: if brokers == 1 { 384 } else { 256 },
            }
        })
        .collect())
}

fn properties(
    id: i32,
    port: u16,
    controller_port: u16,
    voters: &str,
    brokers: usize,
    folder: &Path,
    more: &[(&str, &str)],
) -> String {
    let replicas = brokers.min(3).to_string();
    let in_sync = brokers.min(3).div_ceil(2).to_string();
    let mut all: BTreeMap<&str, String> = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", id.to_string()),
        ("controller.quorum.voters", voters.to_owned()),
        (
            "listeners",
            format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"),
        ),
        (
            "advertised.listeners",
            format!("PLAINTEXT://127.0.0.1:{port}"),
        ),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        ),
        ("log.dirs", folder.join("data").display().to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", replicas.clone()),
        ("min.insync.replicas", in_sync.clone()),
        ("offsets.topic.replication.factor", replicas.clone()),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.replication.factor", replicas),
        ("transaction.state.log.min.isr", in_sync),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // A lost broker is noticed in seconds.
        ("broker.session.timeout.ms", "3000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
        // Topics can set retention.ms=1000, segment.ms=1000 and see it happen.
        ("log.retention.check.interval.ms", "1000".to_owned()),
        ("log.initial.task.delay.ms", "1000".to_owned()),
        // Tests send messages of 5 MB.
        ("message.max.bytes", "16777216".to_owned()),
        ("replica.fetch.max.bytes", "16777216".to_owned()),
    ]
    .into();
    all.extend(more.iter().map(|&(key, value)| (key, value.to_owned())));
    all.iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect()
}

/// Ports of the loopback that nobody listens on, none given twice by this process.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let range = LAST_PORT - FIRST_PORT;
    // Test processes side by side begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(range)).unwrap_or(0);
    let found: Vec<u16> = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .take(usize::from(range))
        .map(|n| FIRST_PORT + (start + n % range) % range)
        .filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .take(count)
        .collect();
    if found.len() < count {
        return Err(Error::NoFreePort {
            from: FIRST_PORT,
            to: LAST_PORT,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_never_given_twice() {
        let mut ports = free_ports(20).unwrap();
        ports.extend(free_ports(20).unwrap());
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), 40);
    }

    #[test]
    fn a_property_of_the_test_replaces_ours() {
        let plans = plan(
            3,
            Path::new("/x"),
            &[("min.insync.replicas", "1"), ("a.b", "c")],
        )
        .unwrap();
        for plan in &plans {
            assert!(
                plan.properties.contains("\nmin.insync.replicas=1\n"),
                "{}",
                plan.properties
            );
            assert!(plan.properties.contains("default.replication.factor=3\n"));
            assert!(
                plan.properties.starts_with("a.b=c\n") || plan.properties.contains("\na.b=c\n")
            );
            assert_eq!(plan.cluster_id.len(), 22);
            assert_eq!(plan.cluster_id, plans[0].cluster_id);
        }
    }
}
