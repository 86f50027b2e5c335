#ifndef LOSSD_LOSSES_DOCS_H_
#define LOSSD_LOSSES_DOCS_H_

#include <string>

// What is written about the losses, from their list. losses_doc_test compares it with the files.
namespace lossd {

// Markdown tables of docs/losses.md: a row for each loss, and one for each of its options.
std::string LossTable();
std::string OptionTable();

// client/python/src/lossd/losses.json: a mapping from the name of a loss to what plans need to know
// of it, in the words of plans, and its options with their defaults, null where there is none.
std::string LossesJson();

}  // namespace lossd

#endif  // LOSSD_LOSSES_DOCS_H_
