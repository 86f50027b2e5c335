#include "lossctl/completion.h"

#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace lossd {
namespace {

// Of a command, as shells see it.
struct Flag {
  std::string name;  // With its dashes.
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;  // What the value is one of; empty where it may be anything.
};

struct Command {
  std::string name;  // Empty for the program itself.
  std::string description;
  std::vector<Flag> flags;
  std::vector<std::string> choices;  // Of the argument that is no flag.
};

// What follows IsMember in help texts: TEXT:{float32,float16}.
std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return absl::StrSplit(type.substr(open + 1, close - open - 1), ',');
}

// Its first sentence, for one line.
std::string Short(const std::string& description) {
  const std::vector<std::string> sentences = absl::StrSplit(description, absl::MaxSplits('\n', 1));
  return sentences.front();
}

Command Describe(const CLI::App& app) {
  Command command;
  command.description = Short(app.get_description());
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) {
      command.choices = ChoicesOf(*option);
      continue;
    }
    command.flags.push_back({.name = absl::StrCat("--", option->get_lnames().front()),
                             .description = Short(option->get_description()),
                             .takes_value = option->get_items_expected_max() > 0,
                             .choices = ChoicesOf(*option)});
  }
  return command;
}

std::vector<Command> Subcommands(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* subcommand : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(Describe(*subcommand));
    commands.back().name = subcommand->get_name();
  }
  return commands;
}

std::string Names(const std::vector<Command>& commands, absl::string_view separator) {
  return absl::StrJoin(commands, separator, [](std::string* out, const Command& command) {
    absl::StrAppend(out, command.name);
  });
}

std::string FlagNames(const Command& command) {
  return absl::StrJoin(command.flags, " ",
                       [](std::string* out, const Flag& flag) { absl::StrAppend(out, flag.name); });
}

// In single quotes, as all three shells understand them.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// What bash offers as the value of a flag.
void AppendBashValues(std::string* out, const Command& command) {
  std::vector<std::string> without_choices;
  for (const Flag& flag : command.flags) {
    if (!flag.takes_value) continue;
    const std::string pattern = Quoted(absl::StrCat(command.name, " ", flag.name));
    if (flag.choices.empty()) {
      without_choices.push_back(pattern);
      continue;
    }
    absl::StrAppend(out, "    ", pattern, ") words=", Quoted(absl::StrJoin(flag.choices, " ")),
                    " ;;\n");
  }
  if (without_choices.empty()) return;
  absl::StrAppend(out, "    ", absl::StrJoin(without_choices, " | "), ") ;;\n");
}

// What bash offers where no value of a flag is due: flags to who has begun one.
void AppendBashWords(std::string* out, absl::string_view name, absl::string_view words,
                     const Command& command) {
  absl::StrAppend(out, "        ", name, ") words=", Quoted(words),
                  " flags=", Quoted(FlagNames(command)), " ;;\n");
}

// The flags as zsh's _arguments wants them, each in quotes.
std::string ZshArguments(const Command& command) {
  std::string text;
  for (const Flag& flag : command.flags) {
    const std::string description =
        absl::StrReplaceAll(flag.description, {{"[", "("}, {"]", ")"}, {":", "\\:"}});
    std::string argument =
        absl::StrCat(flag.name, flag.takes_value ? "=" : "", "[", description, "]");
    if (flag.takes_value) {
      absl::StrAppend(&argument, ":value:", flag.choices.empty() ? "_files" : "(",
                      absl::StrJoin(flag.choices, " "), flag.choices.empty() ? "" : ")");
    }
    absl::StrAppend(&text, " ", Quoted(argument));
  }
  return text;
}

void AppendFishFlags(std::string* out, const Command& command, absl::string_view condition) {
  for (const Flag& flag : command.flags) {
    absl::StrAppend(out, "complete -c lossctl -n ", Quoted(condition), " -l ",
                    absl::string_view(flag.name).substr(2), " -d ", Quoted(flag.description));
    if (!flag.choices.empty()) {
      absl::StrAppend(out, " -x -a ", Quoted(absl::StrJoin(flag.choices, " ")));
    } else if (flag.takes_value) {
      absl::StrAppend(out, " -r");
    }
    absl::StrAppend(out, "\n");
  }
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  const std::vector<Command> commands = Subcommands(app);
  const Command self = Describe(app);
  // Words are cut at `=`: of --dtype=fl, the flag is two words before.
  std::string text = absl::StrCat(R"(# bash completion of lossctl: source <(lossctl completion bash)
_lossctl() {
  local word=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' flags i
  [[ $word == = ]] && word=''
  [[ $flag == = ]] && flag=${COMP_WORDS[COMP_CWORD - 2]}
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
    )",
                                  Names(commands, " | "), R"() command=${COMP_WORDS[i]} && break ;;
    esac
  done
  case "$command $flag" in
)");
  AppendBashValues(&text, self);
  for (const Command& command : commands) AppendBashValues(&text, command);
  absl::StrAppend(&text, "    *)\n      case $command in\n");
  AppendBashWords(&text, "''", Names(commands, " "), self);
  for (const Command& command : commands) {
    AppendBashWords(&text, command.name, absl::StrJoin(command.choices, " "), command);
  }
  absl::StrAppend(&text, R"(      esac
      [[ $word == -* ]] && words=$flags ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _lossctl lossctl
)");
  return text;
}

std::string ZshCompletion(const CLI::App& app) {
  const std::vector<Command> commands = Subcommands(app);
  std::string text = "#compdef lossctl\n_lossctl() {\n  local line state\n  local -a commands=(";
  for (const Command& command : commands) {
    absl::StrAppend(&text, "\n    ",
                    Quoted(absl::StrCat(command.name, ":",
                                        absl::StrReplaceAll(command.description, {{":", "\\:"}}))));
  }
  absl::StrAppend(&text, "\n  )\n  _arguments -C", ZshArguments(Describe(app)),
                  " '1:command:->command' '*::argument:->argument'\n  case $state in\n"
                  "    command) _describe command commands ;;\n"
                  "    argument)\n      case $line[1] in\n");
  for (const Command& command : commands) {
    const std::string rest =
        command.choices.empty()
            ? "*:file:_files"
            : absl::StrCat("1:word:(", absl::StrJoin(command.choices, " "), ")");
    absl::StrAppend(&text, "        ", command.name, ") _arguments", ZshArguments(command), " ",
                    Quoted(rest), " ;;\n");
  }
  absl::StrAppend(&text, "      esac ;;\n  esac\n}\n",
                  "if [[ $funcstack[1] == _lossctl ]]; then _lossctl \"$@\"; else compdef _lossctl "
                  "lossctl; fi\n");
  return text;
}

std::string FishCompletion(const CLI::App& app) {
  std::string text = "# fish completion of lossctl: lossctl completion fish | source\n";
  AppendFishFlags(&text, Describe(app), "__fish_use_subcommand");
  for (const Command& command : Subcommands(app)) {
    absl::StrAppend(&text, "complete -c lossctl -f -n __fish_use_subcommand -a ", command.name,
                    " -d ", Quoted(command.description), "\n");
    const std::string condition = absl::StrCat("__fish_seen_subcommand_from ", command.name);
    AppendFishFlags(&text, command, condition);
    if (command.choices.empty()) continue;
    absl::StrAppend(&text, "complete -c lossctl -f -n ", Quoted(condition), " -a ",
                    Quoted(absl::StrJoin(command.choices, " ")), "\n");
  }
  return text;
}

void DeclareCompletion(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("completion", "What makes your shell complete commands and flags");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "Which: source <(lossctl completion bash)")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &session, shell] {
    if (*shell == "bash") std::cout << BashCompletion(app);
    if (*shell == "zsh") std::cout << ZshCompletion(app);
    if (*shell == "fish") std::cout << FishCompletion(app);
    session.status = absl::OkStatus();
  });
}

}  // namespace lossd
