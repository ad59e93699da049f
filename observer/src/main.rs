//! The agent's thin main.

fn main() -> std::process::ExitCode {
    observer::commands::main()
}
