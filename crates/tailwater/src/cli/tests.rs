//! What help and documents show of the command line is what it takes.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory, Parser};

use super::Cli;

/// Every command that is not a group of others, with its words.
fn leaves(command: &Command, words: &str) -> Vec<(String, Command)> {
    let inner: Vec<&Command> = command.get_subcommands().filter(|it| it.get_name() != "help").collect();
    if inner.is_empty() {
        return vec![(words.to_owned(), command.clone())];
    }
    inner.iter().flat_map(|it| leaves(it, &format!("{words} {}", it.get_name()))).collect()
}

/// The calls of `tailwater` in a text, without comments and what a shell does with them.
fn calls(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("$ "));
    let tailwaters = lines.filter_map(|line| line.find("tailwater ").and_then(|at| line.get(at..)));
    tailwaters.filter_map(|line| shlex::split(line.split("  ").next()?)).map(call).collect()
}

/// The words up to a pipe or another file.
fn call(words: Vec<String>) -> Vec<String> {
    let is_end = |word: &String| word.starts_with(['|', '<', '>', '&', ';', '#']) || word == "…";
    words.into_iter().take_while(|word| !is_end(word)).collect()
}

#[test]
fn each_command_has_examples_of_itself_that_are_understood() {
    for (words, command) in leaves(&Cli::command(), "tailwater") {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split("Example").nth(1).and_then(|rest| rest.split("\n\n").next());
        let examples = examples.unwrap_or_else(|| panic!("{words} has no examples"));
        let own: Vec<Vec<String>> =
            calls(examples).into_iter().filter(|call| call.join(" ").starts_with(&words)).collect();
        assert!(!own.is_empty(), "{words} has no example of its own: {examples}");
        for call in calls(examples) {
            assert!(
                Cli::try_parse_from(&call).is_ok(),
                "{words}: {call:?}: {:?}",
                Cli::try_parse_from(&call)
            );
        }
    }
}

#[test]
fn what_the_documents_show_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .chain([root.join("README.md")]);
    let mut seen = 0;
    for path in documents {
        let text = fs::read_to_string(&path).unwrap();
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        for call in blocks.flat_map(calls) {
            let parsed = Cli::try_parse_from(&call);
            assert!(parsed.is_ok(), "{}: {call:?}: {parsed:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}
