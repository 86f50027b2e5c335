#ifndef LOSSCTL_COMPLETION_H_
#define LOSSCTL_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

#include "lossctl/command.h"

namespace lossd {

// Each writes what makes a shell complete the subcommands of `app`, their flags, and the values of
// flags that take one of a few words; file names elsewhere.
std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);
std::string FishCompletion(const CLI::App& app);

// Declares the subcommand that prints them. It describes `app` as it is when it runs.
void DeclareCompletion(CLI::App& app, Session& session);

}  // namespace lossd

#endif  // LOSSCTL_COMPLETION_H_
