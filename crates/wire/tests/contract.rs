//! The contract of the Workload API, field by field (requirements §11.1), held against the committed descriptor.

use std::collections::BTreeSet;

use plastron_wire::{agent, workload};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// One line a field: message, field, number, type.
const FIELDS: &str = "
    X509SVIDResponse svids 1 repeated X509SVID
    X509SVIDResponse crl 2 repeated bytes
    X509SVIDResponse federated_bundles 3 map string bytes
    X509SVID spiffe_id 1 string
    X509SVID x509_svid 2 bytes
    X509SVID x509_svid_key 3 bytes
    X509SVID bundle 4 bytes
    X509SVID hint 5 string
    X509BundlesResponse crl 1 repeated bytes
    X509BundlesResponse bundles 2 map string bytes
    JWTSVIDRequest audience 1 repeated string
    JWTSVIDRequest spiffe_id 2 string
    JWTSVIDResponse svids 1 repeated JWTSVID
    JWTSVID spiffe_id 1 string
    JWTSVID svid 2 string
    JWTSVID hint 3 string
    JWTBundlesResponse bundles 1 map string bytes
    ValidateJWTSVIDRequest audience 1 string
    ValidateJWTSVIDRequest svid 2 string
    ValidateJWTSVIDResponse spiffe_id 1 string
    ValidateJWTSVIDResponse claims 2 google.protobuf.Struct
    WITSVIDRequest spiffe_id 1 string
    WITSVIDResponse svids 1 repeated WITSVID
    WITSVID spiffe_id 1 string
    WITSVID wit_svid 2 string
    WITSVID wit_svid_key 3 string
    WITSVID hint 4 string
    WITBundlesResponse bundles 1 map string string
";

/// One line a call: method, request, response.
const METHODS: &str = "
    FetchX509SVID X509SVIDRequest stream X509SVIDResponse
    FetchX509Bundles X509BundlesRequest stream X509BundlesResponse
    FetchJWTSVID JWTSVIDRequest JWTSVIDResponse
    FetchJWTBundles JWTBundlesRequest stream JWTBundlesResponse
    ValidateJWTSVID ValidateJWTSVIDRequest ValidateJWTSVIDResponse
    FetchWITSVID WITSVIDRequest stream WITSVIDResponse
    FetchWITBundles WITBundlesRequest stream WITBundlesResponse
";

#[test]
fn the_workload_api_has_these_calls_and_fields_and_no_others() {
    let file = file_of(workload::FILE_DESCRIPTOR_SET, "workload.proto");
    assert_eq!(file.package, None, "WAPI-05 +: no package");
    assert_eq!(file.syntax(), "proto3", "WAPI-05 +");
    let [service] = file.service.as_slice() else {
        panic!("WAPI-05 +: one service");
    };
    assert_eq!(service.name(), workload::SERVICE_NAME, "WAPI-05 +, AMB-29");

    let methods: BTreeSet<_> = service
        .method
        .iter()
        .map(|method| {
            assert!(!method.client_streaming());
            format!(
                "{} {} {}{}",
                method.name(),
                method.input_type().trim_start_matches('.'),
                if method.server_streaming() {
                    "stream "
                } else {
                    ""
                },
                method.output_type().trim_start_matches('.'),
            )
        })
        .collect();
    assert_eq!(
        methods,
        lines(METHODS),
        "WAPI-04 +/−, WEP-23 −, WAPI-21 +, WAPI-39 +, WAPI-60 +: the methods of the standard"
    );

    let fields: BTreeSet<_> = file
        .message_type
        .iter()
        .flat_map(|message| message.field.iter().map(|field| line_of(message, field)))
        .collect();
    assert_eq!(
        fields,
        lines(FIELDS),
        "WAPI-04 +/−, WAPI-46 +, WAPI-62 +, WAPI-65 +: the fields of the standard"
    );
}

#[test]
fn the_generated_service_answers_at_the_path_without_a_package() {
    assert_eq!(
        workload::spiffe_workload_api_server::SERVICE_NAME,
        "SpiffeWorkloadAPI",
        "RS-12"
    );
    assert_eq!(
        agent::v1::agent_server::SERVICE_NAME,
        agent::v1::SERVICE_NAME,
        "WEP-23 +: a service of our own has a name of its own"
    );
    let file = file_of(
        agent::v1::FILE_DESCRIPTOR_SET,
        "plastron/agent/v1/agent.proto",
    );
    assert_eq!(file.package(), "plastron.agent.v1");
}

fn file_of(set: &[u8], name: &str) -> FileDescriptorProto {
    FileDescriptorSet::decode(set)
        .expect("a descriptor set")
        .file
        .into_iter()
        .find(|file| file.name() == name)
        .expect("the file is in its set")
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

fn line_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let map = message.nested_type.iter().find(|nested| {
        let entry = nested.options.as_ref().is_some_and(|o| o.map_entry());
        entry && field.type_name().ends_with(&format!(".{}", nested.name()))
    });
    let kind = match map {
        Some(entry) => format!(
            "map {} {}",
            type_of(&entry.field[0]),
            type_of(&entry.field[1])
        ),
        None if field.label() == Label::Repeated => format!("repeated {}", type_of(field)),
        None => type_of(field),
    };
    format!(
        "{} {} {} {kind}",
        message.name(),
        field.name(),
        field.number()
    )
}

fn type_of(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::String => "string".into(),
        Type::Bytes => "bytes".into(),
        Type::Message => field.type_name().trim_start_matches('.').into(),
        other => format!("{other:?}"),
    }
}
