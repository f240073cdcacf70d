//! What explains workloads that are not ready: claims and their classes, events, Ingresses, nodes, admission webhooks,
//! CRDs and the resources of operators.

use jiff::Timestamp;

use crate::cluster::views::{Conditions, Metadata};

views! {
    PersistentVolumeClaim {
        metadata: Metadata,
        spec: ClaimSpec,
        status: ClaimStatus,
    }

    ClaimSpec {
        storage_class_name: String,
        volume_name: String,
    }

    ClaimStatus {
        phase: String,
    }

    StorageClass {
        metadata: Metadata,
        provisioner: String,
        volume_binding_mode: String,
    }

    Event {
        metadata: Metadata,
        involved_object: InvolvedObject,
        reason: String,
        message: String,
        count: u32,
        series: EventSeries,
        first_timestamp: Option<Timestamp>,
        last_timestamp: Option<Timestamp>,
        event_time: Option<Timestamp>,
    }

    InvolvedObject {
        kind: String,
        name: String,
        uid: String,
        field_path: String,
    }

    EventSeries {
        count: u32,
        last_observed_time: Option<Timestamp>,
    }

    Ingress {
        metadata: Metadata,
        spec: IngressSpec,
        status: IngressStatus,
    }

    IngressSpec {
        ingress_class_name: String,
        tls: Vec<IngressTls>,
    }

    IngressTls {
        hosts: Vec<String>,
    }

    IngressStatus {
        load_balancer: LoadBalancer,
    }

    LoadBalancer {
        ingress: Vec<LoadBalancerIngress>,
    }

    LoadBalancerIngress {
        hostname: String,
    }

    Service {
        metadata: Metadata,
        spec: ServiceSpec,
    }

    ServiceSpec {
        load_balancer_class: String,
        ip_families: Vec<String>,
    }

    Node {
        metadata: Metadata,
        spec: NodeSpec,
        status: NodeStatus,
    }

    NodeStatus {
        allocatable: Allocatable,
        conditions: Conditions,
        node_info: NodeInfo,
    }

    Allocatable {
        pods: String,
        cpu: String,
        memory: String,
    }

    NodeInfo {
        container_runtime_version: String,
    }

    NodeSpec {
        taints: Vec<Taint>,
    }

    EndpointSlice {
        metadata: Metadata,
        ports: Vec<EndpointPort>,
        endpoints: Vec<EndpointAddresses>,
    }

    EndpointPort {
        name: String,
    }

    EndpointAddresses {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        node_name: String,
        target_ref: InvolvedObject,
    }

    EndpointConditions {
        ready: Option<bool>,
    }

    Taint {
        key: String,
        effect: String,
        time_added: Option<Timestamp>,
    }

    CustomResourceDefinition {
        metadata: Metadata,
        status: ConditionsOnly,
    }

    Namespace {
        metadata: Metadata,
        status: ConditionsOnly,
    }

    ApiService {
        metadata: Metadata,
        spec: ApiServiceSpec,
        status: ConditionsOnly,
    }

    ApiServiceSpec {
        group: String,
        version: String,
        service: Option<ServiceReference>,
    }

    ConditionsOnly {
        conditions: Conditions,
    }

    /// A ValidatingWebhookConfiguration or MutatingWebhookConfiguration.
    WebhookConfiguration {
        kind: String,
        metadata: Metadata,
        webhooks: Vec<Webhook>,
    }

    Webhook {
        client_config: WebhookClientConfig,
    }

    WebhookClientConfig {
        service: Option<ServiceReference>,
    }

    ServiceReference {
        namespace: String,
        name: String,
    }

    /// A resource that an operator reconciles, such as a Prometheus: an object of any kind without a view of its own.
    OperatorResource {
        kind: String,
        metadata: Metadata,
        status: ConditionsOnly,
    }
}

impl Event {
    /// Time of the last occurrence; the API has three fields for it.
    pub(in crate::cluster) fn last_seen(&self) -> Option<Timestamp> {
        let times = [self.series.last_observed_time, self.last_timestamp, self.event_time];
        times.into_iter().flatten().next().or(self.metadata.creation_timestamp)
    }

    /// Number of occurrences.
    pub(in crate::cluster) fn times(&self) -> u32 {
        self.count.max(self.series.count).max(1)
    }
}

impl Ingress {
    /// The host name of its first address, "" before it has one.
    pub(in crate::cluster) fn hostname(&self) -> &str {
        self.status.load_balancer.ingress.first().map(|address| address.hostname.as_str()).unwrap_or_default()
    }
}
