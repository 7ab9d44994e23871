//! Helpers for the page and the API of the real binary on a simulated cluster.

use super::exporter::{fill, simulator};
use super::http::{Answer, ask};
use super::running::Running;
use serde_json::Value;
use simulator::Simulator;

/// A cluster with the objects of all recordings.
pub async fn cluster() -> Simulator {
    let simulator = simulator().await;
    fill(simulator.store());
    simulator
}

pub async fn ready(simulator: &Simulator, arguments: &[&str]) -> Running {
    let podskew = Running::start(simulator, arguments);
    podskew.until_ready().await;
    podskew
}

pub fn get(podskew: &Running, path: &str) -> Answer {
    ask(podskew.address(), path, &[])
}

#[track_caller]
pub fn json_of(podskew: &Running, path: &str) -> Value {
    let answer = get(podskew, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// `NAMESPACE/TYPE/NAME` of every workload, as in the paths below `/workload/` and `/api/v1/workloads/`.
pub fn workloads(podskew: &Running) -> Vec<String> {
    let all = json_of(podskew, "/api/v1/workloads?state=all&limit=500");
    let path = |it: &Value| {
        let [namespace, workload_type, name] =
            ["namespace", "workload_type", "workload"].map(|key| it[key].as_str().unwrap());
        format!("{namespace}/{workload_type}/{name}")
    };
    all["workloads"].as_array().unwrap().iter().map(path).collect()
}
