#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "lossctl/command.h"
#include "lossctl/tensor_commands.h"

namespace lossd {

void DeclareCompute(CLI::App& app, Session& session, TensorCommand<ComputeFlags> compute) {
  CLI::App* command =
      app.add_subcommand("compute", "Losses, and with --out gradients, of arrays in .npy files");
  const auto flags = std::make_shared<ComputeFlags>();
  command->add_option("--plan", flags->plan, "The plan or training config, in YAML or JSON")
      ->required();
  command
      ->add_option("--output", flags->outputs,
                   "A prediction [B, C, Z, Y, X] or [B, C, Y, X]: FILE, or HEAD=FILE for each of "
                   "several heads")
      ->required();
  command
      ->add_option("--cast", flags->cast,
                   "Convert predictions to this type, as float64 ones have to be")
      ->check(CLI::IsMember({"float32", "float16", "bfloat16"}));
  command->add_option("--labels", flags->labels, "Labels [B, L, ...]");
  command->add_option("--mask", flags->mask, "Where the batch counts, [B, 1 or C, ...]");
  command->add_option("--label_mask", flags->label_mask, "Which labels are known, like labels");
  command->add_option("--gt_seg", flags->gt_seg, "Instance labels for MALIS, [B, Z, Y, X]");
  command->add_option("--mode", flags->mode, "One scale, or outputs ds_1 ... ds_4 as well")
      ->check(CLI::IsMember({"standard", "deep_supervision"}))
      ->capture_default_str();
  command->add_option("--stage", flags->stage, "Prefix of the log keys")->capture_default_str();
  command->add_option("--crop_origin", flags->crop_origin, "First voxel z,y,x of MALIS's crop")
      ->delimiter(',')
      ->expected(3);
  command->add_option("--crop_seed", flags->crop_seed, "Seed from which the crop's place is drawn");
  command->add_option("--out", flags->out, "Folder for the gradients, one HEAD.npy each");
  DeclareTransport(*command, session);
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback([&session, flags, compute = std::move(compute)] {
    session.status = compute(session, *flags);
  });
}

}  // namespace lossd
