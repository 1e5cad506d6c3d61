//! What is committed under `src/generated` is what `proto/` says. After a change of a `.proto` file, run this test once
//! with `PLASTRON_REGENERATE=1` to write it anew.

use std::fs;
use std::path::Path;

use prost::Message as _;

const TEXTS: [(&str, &str); 2] = [
    ("workload.proto", "workload"),
    ("plastron/agent/v1/agent.proto", "plastron.agent.v1"),
];

#[test]
fn generated_code_and_descriptors_are_those_of_the_proto_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = here.join("../../proto");
    let committed = here.join("src/generated");
    let fresh = tempfile::tempdir().expect("a temporary folder");
    for (text, name) in TEXTS {
        let descriptors = protox::Compiler::new([&proto])
            .and_then(|mut compiler| {
                compiler
                    .include_imports(true)
                    .include_source_info(true)
                    .open_file(text)?;
                Ok(compiler.file_descriptor_set())
            })
            .expect("the text compiles");
        generate(descriptors.clone(), fresh.path());
        fs::write(
            fresh.path().join(format!("{name}.bin")),
            without_source_info(descriptors).encode_to_vec(),
        )
        .expect("a writable folder");

        for file in [format!("{name}.rs"), format!("{name}.bin")] {
            let now = fs::read(fresh.path().join(&file)).expect("generated just now");
            if std::env::var_os("PLASTRON_REGENERATE").is_some() {
                fs::write(committed.join(&file), &now).expect("a writable source tree");
            }
            let before = fs::read(committed.join(&file)).unwrap_or_default();
            assert!(
                now == before,
                "src/generated/{file} is not what proto/{text} gives: run this test with PLASTRON_REGENERATE=1"
            );
        }
    }
}

fn generate(descriptors: prost_types::FileDescriptorSet, folder: &Path) {
    let mut config = tonic_prost_build::Config::new();
    config.default_package_filename("workload");
    tonic_prost_build::configure()
        .out_dir(folder)
        .build_transport(false)
        .bytes(".")
        .btree_map(".")
        .skip_debug([
            ".X509SVID",
            ".JWTSVID",
            ".ValidateJWTSVIDRequest",
            ".WITSVID",
        ])
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(descriptors, config)
        .expect("code for the descriptors");
}

/// Reflection needs no comments.
fn without_source_info(
    mut descriptors: prost_types::FileDescriptorSet,
) -> prost_types::FileDescriptorSet {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors
}
