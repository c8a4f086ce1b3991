// All kernels as one module.
#include "rows.cu"
#include "linear_few.cu"
#include "linear_many.cu"
#include "heads.cu"
#include "attention.cu"
#include "candidates.cu"
