//! Workloads: what creates pods.

use crate::cluster::views::{Conditions, Metadata};

views! {
    Deployment {
        metadata: Metadata,
        spec: DeploymentSpec,
        status: DeploymentStatus,
    }

    DeploymentSpec {
        replicas: Option<i64>,
    }

    DeploymentStatus {
        observed_generation: i64,
        replicas: i64,
        updated_replicas: i64,
        available_replicas: i64,
        conditions: Conditions,
    }

    StatefulSet {
        metadata: Metadata,
        spec: StatefulSetSpec,
        status: StatefulSetStatus,
    }

    StatefulSetSpec {
        replicas: Option<i64>,
        update_strategy: UpdateStrategy,
    }

    UpdateStrategy {
        #[serde(rename = "type")]
        kind: String,
        rolling_update: RollingUpdate,
    }

    RollingUpdate {
        partition: i64,
    }

    StatefulSetStatus {
        observed_generation: i64,
        replicas: i64,
        updated_replicas: i64,
        ready_replicas: i64,
        available_replicas: i64,
        current_revision: String,
        update_revision: String,
    }

    DaemonSet {
        metadata: Metadata,
        status: DaemonSetStatus,
    }

    DaemonSetStatus {
        observed_generation: i64,
        desired_number_scheduled: i64,
        current_number_scheduled: i64,
        updated_number_scheduled: i64,
        number_available: i64,
    }

    Job {
        metadata: Metadata,
        status: JobStatus,
    }

    JobStatus {
        active: i64,
        conditions: Conditions,
    }
}
