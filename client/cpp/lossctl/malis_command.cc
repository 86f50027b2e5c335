#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "lossctl/command.h"
#include "lossctl/tensor_commands.h"
#include "lossd/base/available_cores.h"

namespace lossd {

void DeclareMalis(CLI::App& app, Session& session, TensorCommand<MalisFlags> malis) {
  CLI::App* command = app.add_subcommand(
      "malis", "MALIS edge weights of a volume in .npy files, computed here without a server");
  const auto flags = std::make_shared<MalisFlags>();
  flags->threads = AvailableCores();
  command
      ->add_option("--affinities", flags->affinities, "Predicted affinities [C, Z, Y, X], floats")
      ->required();
  command->add_flag("--logits", flags->logits, "The affinities are logits");
  command->add_option("--gt_seg", flags->gt_seg,
                      "Instance labels [Z, Y, X]; without them, the components of --target");
  command->add_option(
      "--target", flags->target,
      "True affinities [C, Z, Y, X], positive above 0.5; without them, those of --gt_seg");
  command->add_option("--mask", flags->mask,
                      "[C, Z, Y, X], 1 where an edge is known; all are by default");
  command->add_option("--nhood", flags->nhood, "Offsets z,y,x, one a channel")
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "Threads to use")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--out", flags->out, "File for the weights, .npy");
  DeclareJson(*command, session);
  command->callback(
      [&session, flags, malis = std::move(malis)] { session.status = malis(session, *flags); });
}

}  // namespace lossd
