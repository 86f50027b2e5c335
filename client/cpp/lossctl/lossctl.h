#ifndef LOSSCTL_LOSSCTL_H_
#define LOSSCTL_LOSSCTL_H_

#include "lossctl/tensor_commands.h"

namespace lossd {

// Does what the command line says; the exit status.
int Lossctl(int argc, char** argv, const TensorCommands& commands);

}  // namespace lossd

#endif  // LOSSCTL_LOSSCTL_H_
