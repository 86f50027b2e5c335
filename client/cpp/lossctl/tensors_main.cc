// lossctl-tensors: what lossctl becomes for the commands that work on tensors.

#include "lossctl/lossctl.h"

int main(int argc, char** argv) {
  return lossd::Lossctl(argc, argv,
                        {.compute = lossd::Compute, .bench = lossd::Bench, .malis = lossd::Malis});
}
