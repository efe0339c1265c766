//! `tailwater doctor`: looks at everything that tailwater needs, and says what to do.

use std::sync::Arc;

use crate::cli::{Cli, DoctorArgs, Format};
use crate::doctor::{self, Finding, Sign, Subject};
use crate::failure::Failure;
use crate::output::{self, Sheet};

/// Prints the findings.
///
/// # Errors
/// Exit code 1 when a check fails: which, in one line behind the findings.
pub(crate) fn doctor(cli: &Cli, args: &DoctorArgs) -> Result<(), Failure> {
    let subject = Arc::new(Subject::gather(cli)?);
    let runtime = crate::runtime()?;
    let findings = runtime.block_on(doctor::examine(subject));
    // NOTE: a disk that hangs holds a thread for ever, and must not hold up the exit.
    runtime.shutdown_background();
    match args.format.format {
        Format::Json => output::json(&findings)?,
        format => sheet(&findings).print(format)?,
    }
    verdict(&findings)
}

fn sheet(findings: &[Finding]) -> Sheet {
    let row = |finding: &Finding| {
        let advice = finding.advice.clone().unwrap_or_default();
        vec![finding.sign.as_str().to_owned(), finding.check.to_owned(), finding.found.clone(), advice]
    };
    let columns = ["sign", "check", "found", "what to do"].map(str::to_owned).to_vec();
    Sheet { columns, rows: findings.iter().map(row).collect() }
}

fn verdict(findings: &[Finding]) -> Result<(), Failure> {
    let failed = findings.iter().filter(|finding| finding.sign == Sign::Failure);
    let mut failed: Vec<&str> = failed.map(|finding| finding.check).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let failures = output::counted(failed.len() as u64, "failure");
    failed.dedup();
    Err(Failure::unhealthy(format!("{failures}: {}", failed.join(", "))))
}
