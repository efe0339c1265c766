//! Builds the crate anew when a migration changes: `sqlx::migrate!` embeds them and cannot say so itself.

fn main() {
    // Cargo reads this line from standard output.
    #[expect(clippy::print_stdout, reason = "this is how a build script speaks")]
    {
        println!("cargo::rerun-if-changed=../../migrations");
    }
}
