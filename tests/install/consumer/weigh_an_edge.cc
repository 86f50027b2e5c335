#include <lossd/malis/malis.h>

// Two voxels of one object: all of one pair hangs on the edge between them.
int main() {
  const lossd::Offset right = {.z = 0, .y = 0, .x = 1};
  const float affinity[] = {0.25, 0};
  const uint8_t positive[] = {1, 0};
  const uint32_t labels[] = {7, 7};
  const lossd::MalisSample sample = {.shape = {.z = 1, .y = 1, .x = 2},
                                     .neighborhood = {&right, 1},
                                     .affinity = affinity,
                                     .positive = positive,
                                     .known = {},
                                     .labels = labels};
  float weights[2];
  lossd::TaskPool pool(1);
  lossd::Workspace workspace;
  const absl::Status status =
      lossd::MalisWeights({sample}, pool, workspace, {absl::MakeSpan(weights)});
  const int weight = weights[0];  // An error where lossd's own warnings are those of its users.
  return status.ok() && weight == 1 ? 0 : 1;
}
